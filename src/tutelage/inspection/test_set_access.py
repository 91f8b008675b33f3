"""Guards the test rows: looking at them before the tuning has ended needs a flag, and is recorded.

The record stands beside the run folders and has the rows' content as keys, so it also holds for another recipe, split or seed
over the same rows. Card and report say how many test rows of a run had been looked at before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.config.identity import run_folder
from tutelage.config.schema import Recipe
from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.files import disk_error, sync
from tutelage.core.provenance import timestamp
from tutelage.core.types import Prompted

FILE = Path("runs") / "looked.jsonl"


def record_look(recipe: Recipe, rows: Sequence[Prompted], *, early: bool) -> None:
    """Permit a look at test rows, and record it if the recipe's tuning has not ended yet.

    Args:
        recipe: the recipe; its default folder says whether the tuning has ended.
        rows: the test rows that will be shown.
        early: whether a look before that end is asked for.

    Raises:
        InputError: the tuning has not ended, and an early look is not asked for.
        MachineError: it cannot be recorded.
    """
    folder = run_folder(recipe)
    if not rows or folder.tuned.is_file():
        return
    if not early:
        raise InputError(
            "test rows are not shown before the tuning has ended",
            where="--split" if len(rows) > 1 else str(rows[0].origin),
            found=f"{len(rows)} of the test split, and no finished tuning in {folder.path}",
            expected="a look at training or validation rows, or the flag",
            fix=f"add --look-at-test: it is recorded in {FILE}, and the report will say so",
        )
    entry = {"when": timestamp(), "recipe": recipe.name, "rows": sorted(_key(row) for row in rows)}
    try:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        with FILE.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")  # one write of a line: two processes do not mix theirs
        sync(FILE)
    except OSError as error:
        raise disk_error(FILE, error) from error


def earlier_looks(rows: Iterable[Prompted]) -> Mapping[str, Any] | None:
    """How many of these test rows were looked at before, and when the first time; None when none was.

    Raises:
        InputError: the record is damaged.
    """
    first_looks = _first_looks()
    times = [first_looks[key] for row in rows if (key := _key(row)) in first_looks] if first_looks else []
    return {"rows": len(times), "first": min(times)} if times else None


def _first_looks() -> dict[str, str]:
    """When each row was looked at first, by its key."""
    if not FILE.is_file():
        return {}
    first: dict[str, str] = {}
    for number, line in enumerate(FILE.read_text("utf-8", "replace").splitlines(), 1):
        try:
            entry = json.loads(line)
            for key in entry["rows"]:
                first.setdefault(key, str(entry["when"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                "the record of test rows that were looked at is damaged",
                where=f"{FILE}:{number}",
                found=line[:60],
                expected='{"when": ..., "recipe": ..., "rows": [...]}',
                fix="correct the line, or remove it if no run of Tutelage wrote it",
            ) from None
    return first


def _key(row: Prompted) -> str:
    return hashing.of_json(dict(row.fields))
