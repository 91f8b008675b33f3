"""A finished run whose files were damaged: it is said and refused, or what can be computed again is; never passed over."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage import config as recipes
from tutelage import report
from tutelage.cli.main import main
from tutelage.comparison import compare_runs
from tutelage.core import hashing, outputs
from tutelage.core.errors import InputError, MachineError
from tutelage.evaluation.progress import SilentListener
from tutelage.job import run as running
from tutelage.job.run import run
from tutelage.models import resolve
from tutelage.results.store import Store

Damage = Callable[[Path], None]


class Lines(SilentListener):
    """Remembers the lines of the stage `check`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, name: str, detail: str = "") -> None:
        if name == "check":
            self.lines.append(detail)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Path:
    """A folder with recipe.yaml and out/, a finished run. Read it, never write to it."""
    folder = tmp_path_factory.mktemp("damage")
    rows = [
        {"question": f"What is plan {n}?", "answer": f"Plan {n}.", "split": "test" if n % 3 == 0 else "train"}
        for n in range(12)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    recipe = {
        "model": str(tiny_model_folder),
        "tasks": [
            {
                "name": "plans",
                "data": {"path": "rows.jsonl"},
                "prompt": "{{ question }}",
                "completion": "{{ answer }}",
                "split": {"column": "split"},
                "metrics": ["rougeL"],
                "max_new_tokens": 3,
            }
        ],
        "tune": {"rank": 2, "steps": 2, "batch_size": 4, "learning_rate": 0.01},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    run(recipes.load(folder / "recipe.yaml"), out=folder / "out")
    return folder


@pytest.fixture
def job(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that may be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "job"))


def again(job: Path, lines: Lines | None = None) -> running.RunResult:
    return run(recipes.load(job / "recipe.yaml"), out=job / "out", listener=lines)


def content(path: Path, *jobs: Path) -> bytes:
    """A file's content without the places of the jobs."""
    found = path.read_bytes()
    for job in jobs:
        found = found.replace(str(job).encode(), b"JOB")
    return found


def delete(name: str) -> Damage:
    return lambda out: (out / name).unlink()


def empty(name: str) -> Damage:
    return lambda out: (out / name).write_bytes(b"")  # type: ignore[func-returns-value]


def halve(name: str) -> Damage:
    def damage(out: Path) -> None:
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[: len(content) // 2])

    return damage


def flip(name: str, at: float = 0.6) -> Damage:
    """Change one bit in the file."""

    def damage(out: Path) -> None:
        content = bytearray((out / name).read_bytes())
        content[int(at * len(content))] ^= 1
        (out / name).write_bytes(content)

    return damage


def add(name: str, content: bytes = b"{}") -> Damage:
    return lambda out: (out / name).write_bytes(content)  # type: ignore[func-returns-value]


def zero_the_weights(out: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = out / "model" / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name: 0 * tensor for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def into_a_folder(out: Path) -> None:
    (out / "model" / "tokenizer.json").unlink()
    (out / "model" / "tokenizer.json").mkdir()


def sql(statement: str) -> Damage:
    def damage(out: Path) -> None:
        connection = sqlite3.connect(out / "results.sqlite")
        with connection:
            connection.execute(statement)
        connection.close()

    return damage


def edit(name: str, change: Callable[[Any], None]) -> Damage:
    def damage(out: Path) -> None:
        document = json.loads((out / name).read_text("utf-8"))
        change(document)
        (out / name).write_text(json.dumps(document), "utf-8")

    return damage


def reword(name: str, old: str, new: str) -> Damage:
    def damage(out: Path) -> None:
        text = (out / name).read_text("utf-8")
        assert old in text
        (out / name).write_text(text.replace(old, new, 1), "utf-8")

    return damage


MODEL_FILES = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
MODEL: dict[str, Damage] = {
    **{
        f"model/{name} {how.__name__}d": how(f"model/{name}")
        for name in MODEL_FILES
        for how in (delete, empty, halve, flip)
    },
    "adapter set to 0": zero_the_weights,
    "a folder for a file": into_a_folder,
    "another tokenizer file": add("model/added_tokens.json"),
    "other generation settings": add("model/generation_config.json", b'{"eos_token_id": 5}'),
    "an index of shards": add("model/adapter_model.safetensors.index.json"),
    "pickled weights": add("model/adapter_model.bin"),
    "weights beside the adapter": add("model/model.safetensors"),
}
"""Damage to the tuned model: refused by everything that uses it."""

REFUSED: dict[str, Damage] = {
    "store halved": halve("results.sqlite"),
    "no database": add("results.sqlite", b"nothing of the kind\n" * 300),
    "table dropped": sql("DROP TABLE item_scores"),
    "column renamed": sql("ALTER TABLE responses RENAME COLUMN tokens TO token_count"),
    "answer edited": sql("UPDATE responses SET text = 'Plan 0.'"),
    "reference edited": sql("UPDATE items SET reference_texts = '[\"edited\"]'"),
    "training log edited": sql("UPDATE steps SET entries = '{\"loss\": 0.001}'"),
    "tuned.json emptied": empty("tuned.json"),
    "tuned.json halved": halve("tuned.json"),
    "recipe edited": reword("recipe.yaml", "steps: 2", "steps: 3"),
    "page halved": halve("report.html"),
    "page flipped": flip("report.html"),
}
"""Damage to what cannot be made again without long work, or might be a person's own change: refused by `run`, with what to do."""

MENDED: dict[str, Damage] = {
    "tuned.json deleted": delete("tuned.json"),
    "tuned.json edited": edit("tuned.json", lambda d: d["files"]["tokenizer.json"].update(size=1)),
    "score edited": sql("UPDATE scores SET value = 0.5"),
    "item score edited": sql("UPDATE item_scores SET value = 0.5"),
    "card deleted": delete("data/card.json"),
    "card emptied": empty("data/card.json"),
    "card halved": halve("data/card.json"),
    "card edited": edit("data/card.json", lambda d: d["tasks"]["plans"].update(rows=99)),
    "results deleted": delete("results.json"),
    "results halved": halve("results.json"),
    "results edited": edit("results.json", lambda d: d["verdict"].update(learned="yes")),
    "recipe deleted": delete("recipe.yaml"),
    "recipe emptied": empty("recipe.yaml"),
    "page deleted": delete("report.html"),
    "page emptied": empty("report.html"),
}
"""Damage to what can be computed again: `run` does so and says it."""
NEW_EACH_TIME = ("report.html", "results.json", "results.sqlite", ".lock")
"""Files with times in them, or that SQLite writes as it likes."""


def test_at_least_35_kinds_of_damage_are_tried() -> None:
    assert len(MODEL) + len(REFUSED) + len(MENDED) >= 50


def test_a_whole_run_is_done_and_stays_as_it_is(job: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted((job / "out").rglob("*")) if path.is_file()}
    lines = Lines()
    assert not again(job, lines).fresh
    assert lines.lines == []
    assert resolve(str(job / "out")).notes == ()
    assert before == {
        path: path.stat().st_mtime_ns for path in sorted((job / "out").rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("damage", MODEL)
def test_a_damaged_model_is_refused_by_all_that_use_it(job: Path, damage: str) -> None:
    out = job / "out"
    MODEL[damage](out)
    for use in (
        lambda: again(job),
        lambda: report.write(out),
        lambda: resolve(str(out)),  # export, evaluate, chat, models show
        lambda: resolve(str(out / "model")),
    ):
        with pytest.raises(InputError) as caught:
            use()
        assert str(out / "model") in caught.value.block()
        assert f"remove {out / 'model'}" in caught.value.block() or "elsewhere" in caught.value.block()


@pytest.mark.parametrize("how", ["deleted", "a link to nothing"])
def test_without_its_record_a_model_is_checked_against_the_results(job: Path, how: str) -> None:
    out = job / "out"
    (out / "tuned.json").unlink()
    if how != "deleted":
        (out / "tuned.json").symlink_to("nothing")
    assert resolve(str(out)).notes == ()
    (out / "tuned.json").unlink(missing_ok=True)
    zero_the_weights(out)
    for path in (out, out / "model"):
        with pytest.raises(InputError, match="not as it was written"):
            resolve(str(path))
    (out / "results.json").unlink()
    assert any("cannot be checked" in note for note in resolve(str(out)).notes)


def test_a_pipe_or_folder_as_record_is_refused_with_a_fix_that_works(job: Path) -> None:
    record = job / "out" / "tuned.json"
    record.unlink()
    os.mkfifo(record)
    for use in (lambda: resolve(str(job / "out")), lambda: again(job)):
        with pytest.raises(InputError, match="not a plain file") as caught:
            use()
        assert f"remove {record}" in (caught.value.fix or "")
    record.unlink()
    again(job)
    assert resolve(str(job / "out")).notes == ()


def test_a_folder_in_the_place_of_the_card_is_named(job: Path) -> None:
    card = job / "out" / "data" / "card.json"
    card.unlink()
    card.mkdir()
    with pytest.raises(MachineError, match="a folder is in the place of the file") as caught:
        again(job)
    assert caught.value.where == str(card)
    card.rmdir()
    again(job)
    assert card.is_file()


def test_a_run_that_was_only_tuned_says_that_its_results_are_missing(job: Path) -> None:
    (job / "out" / "results.json").unlink()
    with pytest.raises(InputError, match="results file is not there") as caught:
        report.write(job / "out")
    assert "run the recipe again" in (caught.value.fix or "")


@pytest.mark.parametrize("damage", REFUSED)
def test_what_cannot_be_made_again_is_refused(job: Path, damage: str) -> None:
    REFUSED[damage](job / "out")
    kept = {path: path.read_bytes() for path in (job / "out").rglob("*.json")}
    with pytest.raises(InputError) as caught:
        again(job)
    assert caught.value.fix
    assert str(job / "out") in (caught.value.where or "")
    with pytest.raises(InputError):
        report.write(job / "out")
    assert kept == {path: path.read_bytes() for path in (job / "out").rglob("*.json")}


@pytest.mark.parametrize("damage", MENDED)
def test_what_can_be_computed_again_is_and_is_said(
    job: Path, finished: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = job / "out"
    MENDED[damage](out)
    monkeypatch.setattr(running.tuning, "tune", None)  # nothing is tuned again
    lines = Lines()
    results = again(job, lines).results
    assert lines.lines or damage == "results deleted"
    for path in finished.joinpath("out").rglob("*"):
        name = path.relative_to(finished / "out")
        if path.is_file() and name.name not in NEW_EACH_TIME:
            assert content(out / name, job, finished) == content(path, finished), name
    first = json.loads((finished / "out" / "results.json").read_text("utf-8"))
    assert results["tasks"] == first["tasks"]
    assert results["verdict"] == first["verdict"]
    calm = Lines()
    assert not again(job, calm).fresh
    assert calm.lines == []


@pytest.mark.parametrize("damage", ["answer edited", "score edited", "store halved", "results edited"])
def test_a_damaged_store_or_document_is_not_compared_or_exported(job: Path, damage: str) -> None:
    {**REFUSED, **MENDED}[damage](job / "out")
    with pytest.raises(InputError, match=r"changed|damaged"):
        compare_runs(job / "out", job / "out")
    assert main(["export", str(job / "out"), "--format", "lm-eval", "--to", str(job / "scores")]) == 2
    assert not (job / "scores").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["export", "OUT", "--to", "TO"],
        ["evaluate", "OUT", "--benchmark", "general-probe", "--limit", "1", "--out", "TO"],
        ["chat", "OUT"],
        ["report", "OUT"],
    ],
)
def test_commands_name_the_damaged_file(
    job: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    flip("model/adapter_model.safetensors")(job / "out")
    named = {"OUT": str(job / "out"), "TO": str(job / "to")}
    assert main([named.get(word, word) for word in command]) == 2
    assert "adapter_model.safetensors: the file is not as it was written" in capsys.readouterr().err
    assert not (job / "to").exists()


def test_a_model_damaged_between_tuning_and_asking_is_not_measured(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(job / "out")
    tune = running.tuning.tune

    def damaging(*words: Any, **options: Any) -> None:
        tune(*words, **options)
        zero_the_weights(job / "out")

    monkeypatch.setattr(running.tuning, "tune", damaging)
    with pytest.raises(InputError, match="not as it was written"):
        again(job)
    assert not (job / "out" / "results.json").exists()


def test_the_fix_for_a_damaged_model_works(job: Path, finished: Path) -> None:
    zero_the_weights(job / "out")
    shutil.rmtree(job / "out" / "model")
    lines = Lines()
    assert again(job, lines).fresh
    assert any("tuned again" in line for line in lines.lines)
    name = Path("out", "model", "adapter_model.safetensors")
    assert (job / name).read_bytes() == (finished / name).read_bytes()
    assert not again(job).fresh


@pytest.mark.parametrize("how", [delete, empty])
def test_the_fix_for_a_damaged_store_works(job: Path, finished: Path, how: Callable[[str], Damage]) -> None:
    sql("UPDATE responses SET text = 'Plan 0.'")(job / "out")
    how("results.sqlite")(job / "out")
    lines = Lines()
    results = again(job, lines).results
    assert any("asked again" in line for line in lines.lines)
    first = json.loads((finished / "out" / "results.json").read_text("utf-8"))
    assert results["tasks"] == first["tasks"]
    name = Path("out", "data", "card.json")
    assert content(job / name, job) == content(finished / name, finished)  # the lost log's totals are kept
    assert not again(job).fresh


def test_answers_are_of_the_weights_that_gave_them(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tuning done again, on another processor, may end in other weights: these are asked anew."""
    out = job / "out"
    before = (out / "results.sqlite").read_bytes()
    shutil.rmtree(out / "model")
    tune = running.tuning.tune

    def elsewhere(*words: Any, **options: Any) -> None:
        tune(*words, **options)
        zero_the_weights(out)
        record = json.loads((out / "tuned.json").read_text("utf-8"))
        weights = out / "model" / "adapter_model.safetensors"
        record["files"][weights.name]["sha256"] = hashing.of_file(weights)
        record["files"][weights.name]["size"] = weights.stat().st_size
        (out / "tuned.json").write_text(json.dumps(record), "utf-8")

    monkeypatch.setattr(running.tuning, "tune", elsewhere)
    results = again(job).results
    assert (out / "results.sqlite").read_bytes() != before
    base, tuned = (results["tasks"]["plans"][side]["rougeL"]["value"] for side in ("base", "tuned"))
    assert base == tuned  # without its adapter the model answers as the base does


@pytest.mark.parametrize("adopted", [False, True])
def test_changed_generation_settings_of_the_base_are_noticed(
    job: Path,
    monkeypatch: pytest.MonkeyPatch,
    adopted: bool,  # noqa: FBT001
) -> None:
    model = job / "base"
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    shutil.copytree(recipe["model"], model)
    (job / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "model": str(model)}), "utf-8")
    shutil.rmtree(job / "out")
    if adopted:
        old(job, monkeypatch)
    again(job)
    assert not again(job).fresh
    edit("base/generation_config.json", lambda d: d.update(eos_token_id=list(range(3, 300))))(job)
    changed = again(job)
    assert changed.fresh
    with Store.open(job / "out" / "results.sqlite", read_only=True) as store:
        last = {one.model: one for one in store.evaluations()}
        assert {len(one.responses()) for one in last.values()} == {4}
        for one in last.values():  # nearly every token ends an answer
            assert {response.tokens for response in one.responses().values()} == {0}
    assert not again(job).fresh


def old(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a recipe as an older version did: an identity without generation settings, and no hashes."""
    out = job / "out"
    shutil.rmtree(out, ignore_errors=True)
    with monkeypatch.context() as before:
        before.setattr(running.integrity, "begun_before", lambda *_: True)
        before.setattr(running.stages.tuned_record, "weights_hash", lambda _: None)
        again(job)
    recipe = yaml.safe_load((out / "recipe.yaml").read_text("utf-8"))
    (out / "recipe.yaml").write_text("# The recipe as resolved.\n" + yaml.safe_dump(recipe), "utf-8")
    for name, keys in {
        "tuned.json": ("files", "recorded", "seen"),
        "results.json": ("made_from", "content_sha256"),
    }.items():
        document = json.loads((out / name).read_text("utf-8"))
        for key in keys:
            document.pop(key)
        (out / name).write_text(json.dumps(document), "utf-8")
    page = (out / "report.html").read_text("utf-8")
    unmarked = page[: page.rindex("<!-- sha256 ")].replace(outputs.GENERATOR + "\n", "")
    (out / "report.html").write_text(unmarked, "utf-8")


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_of_an_older_version_is_adopted(
    job: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: bool,  # noqa: FBT001
) -> None:
    out = job / "out"
    old(job, monkeypatch)
    report.write(out)
    assert len(resolve(str(out)).notes) == 1
    if not ended:
        (out / "results.json").unlink()
    monkeypatch.setattr(running.tuning, "tune", None)
    lines = Lines()
    assert again(job, lines).fresh != ended
    assert len(lines.lines) == 1
    assert "made before" in lines.lines[0]
    assert resolve(str(out)).notes == ()
    calm = Lines()
    assert not again(job, calm).fresh
    assert calm.lines == []
    flip("model/adapter_model.safetensors")(out)
    with pytest.raises(InputError, match="not as it was written"):
        again(job)
