"""Seeded damage to what a run or an evaluation left: read as before, or refused by name; never an unknown error or a hang.

The documents here have no hashes, as those of older versions: what a hash would catch is tried without one.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mutations import Hang, damage_bytes, damage_json, time_limit
from tutelage import report
from tutelage.comparison import compare_runs
from tutelage.comparison.flips import flipped_items
from tutelage.core.errors import InputError
from tutelage.job.integrity import finished_results
from tutelage.results import diagnosis_document, lm_eval, tuned_record
from tutelage.results.folder_claim import check_claimable
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store

from .conftest import FakeRun

QUICK, LONG = 60, 600
SECONDS = 20


def mutate_json(name: str) -> Callable[[Path, Random], str]:
    def damage(run: Path, random: Random) -> str:
        document, change = damage_json(json.loads((run / name).read_text("utf-8")), random)
        (run / name).write_text(json.dumps(document), "utf-8")
        return f"{name} {change}"

    return damage


def mutate_bytes(name: str) -> Callable[[Path, Random], str]:
    def damage(run: Path, random: Random) -> str:
        content, change = damage_bytes((run / name).read_bytes(), random)
        (run / name).write_bytes(content)
        return f"{name} {change}"

    return damage


COLUMN_VALUES: tuple[Any, ...] = (
    None, -1, 0, 3, 2**62, 1e300, 0.5, "", "x", "[]", "{}", "[1]", '{"a": [NaN]}', b"", b"12345678", b"123",
)  # fmt: skip


def mutate_store(run: Path, random: Random) -> str:
    """Write something else into a column, some rows of it or all; through SQL, so that the file itself is whole."""
    connection = sqlite3.connect(run / "results.sqlite")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = random.choice(tables)
    column, kind = random.choice(
        [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table})")]
    )
    value = random.choice(COLUMN_VALUES)
    change, parameters = f"UPDATE {table} SET {column} = ?", (value,)  # noqa: S608 - names of the schema
    how = random.random()
    if how > 0.9 and kind == "TEXT":
        change = f"UPDATE {table} SET {column} = substr({column}, 1, length({column}) / 2)"  # noqa: S608
    elif how > 0.8:
        change = f"ALTER TABLE {table} RENAME COLUMN {column} TO other"
    elif how > 0.7:
        change = f"DROP TABLE {table}"
    elif how > 0.5:
        change = f"DELETE FROM {table}"  # noqa: S608
    elif how > 0.3 and table in ("evaluations", "sessions", "steps"):
        change += " WHERE rowid IN (1, 2)"
    words = f"{change} ({value!r})"
    try:
        with connection:
            connection.execute(change, parameters if "?" in change else ())
    except sqlite3.Error as error:
        words += f" (refused by SQLite: {error})"
    connection.close()
    return words


DAMAGES = (
    mutate_json("results.json"),
    mutate_json("results.json"),
    mutate_json("data/card.json"),
    mutate_json("data/card.json"),
    mutate_json("diagnosis.json"),
    mutate_json("tuned.json"),
    mutate_json("evaluation.json"),
    mutate_store,
    mutate_store,
    mutate_store,
    mutate_bytes("results.json"),
    mutate_bytes("results.sqlite"),
    mutate_bytes("recipe.yaml"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run's folder with an evaluation's document beside; read it, never write to it."""
    folder = FakeRun(tmp_path_factory.mktemp("whole") / "run", steps=4, test_items=6, probe_items=12).folder
    results = json.loads((folder / "results.json").read_text("utf-8"))
    benchmarks = {
        name: {
            "primary": one["primary"],
            "scores": one["tuned"],
            "version": 1,
            "sizes": {"spelling": 40},
            "parts": {part: inner["tuned"] for part, inner in one["parts"].items()},
        }
        for name, one in results["watched"].items()
    }
    document = {"schema": 1, "provenance": {**results["provenance"], "model": "m"}, "benchmarks": benchmarks}
    (folder / "evaluation.json").write_text(json.dumps(document), "utf-8")
    tuned_record.write(
        folder, {"identity": "x", "step": 4, "steps": 4, "files": {}, "recorded": "when written"}
    )
    (folder / "model").mkdir()
    results["provenance"]["key"] = "key"
    (folder / "results.json").write_text(json.dumps(results), "utf-8")
    diagnosis = json.loads((folder / "diagnosis.json").read_text("utf-8"))
    diagnosis |= {"made_from": diagnosis_document.source_of(results)}
    del diagnosis["content_sha256"]
    (folder / "diagnosis.json").write_text(json.dumps(diagnosis), "utf-8")
    return folder


def uses(run: Path, other: Path, recipe: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """What reads a run or an evaluation."""

    def export() -> None:
        with Store.open(run / "results.sqlite", read_only=True) as store:
            lm_eval.write(run.parent / "scores", store)

    def run_again() -> None:
        folder = RunFolder(run)
        check_claimable(folder, recipe)
        finished_results(folder, "key", base="b", say=[].append)

    return {
        "report": lambda: report.write(run),
        "compare": lambda: compare_runs(other, run),
        "compare --items": lambda: flipped_items(run, other, limit=3),
        "export": export,
        "run again": run_again,
    }


def failures(whole: Path, folder: Path, seeds: range) -> list[str]:
    """What ends otherwise than well or in an InputError, of all uses after each seed's damage."""
    found = []
    recipe = json.loads((whole / "results.json").read_text("utf-8"))["recipe"]
    for seed in seeds:
        random = Random(seed)
        run = Path(shutil.copytree(whole, folder / str(seed) / "run"))
        change = random.choice(DAMAGES)(run, random)
        if random.random() < 0.5 and not change.startswith("evaluation"):
            (run / "evaluation.json").unlink()  # so that results.json is the document beside the store
        for use, do in uses(run, whole, recipe).items():
            try:
                with time_limit(SECONDS):
                    do()
            except InputError as error:
                if not error.block().strip():
                    found.append(f"{seed}: {use} after {change}: an error without words")
            except (Exception, Hang) as error:  # noqa: BLE001 - that is what is looked for
                found.append(f"{seed}: {use} after {change}: {error!r}"[:400])
        shutil.rmtree(folder / str(seed))
    return found


def test_an_undamaged_folder_is_read_by_all(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    recipe = json.loads((whole / "results.json").read_text("utf-8"))["recipe"]
    for do in uses(run, whole, recipe).values():
        do()


def test_damaged_results_are_read_or_refused_by_name(whole: Path, tmp_path: Path) -> None:
    assert failures(whole, tmp_path, range(QUICK)) == []


@pytest.mark.long
def test_much_damage_to_results_is_read_or_refused_by_name(whole: Path, tmp_path: Path) -> None:
    assert failures(whole, tmp_path, range(QUICK, QUICK + LONG)) == []
