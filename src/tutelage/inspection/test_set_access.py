"""Test rows that a person looked at before the tuning had ended: refused without a flag, remembered with it.

What was looked at is kept beside the run folders, by the rows' content: another recipe, split or seed over the same rows
still knows of it, and the card and the report say how many of a run's test rows were known before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.config.load import resolved
from tutelage.config.schema import Recipe
from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.files import disk_error
from tutelage.core.provenance import now
from tutelage.core.types import Prompted
from tutelage.results.run_folder import RunFolder, default_folder

FILE = Path("runs") / "looked.jsonl"


def allow(recipe: Recipe, rows: Sequence[Prompted], *, early: bool) -> None:
    """Let test rows be looked at: always when the recipe's tuning has ended, else with a flag, and then it is recorded.

    Args:
        recipe: whose run it is about; its default folder says whether the tuning has ended.
        rows: the test rows that will be shown.
        early: whether the person asked for it.

    Raises:
        InputError: the tuning has not ended, and it was not asked for.
        MachineError: it cannot be recorded.
    """
    folder = RunFolder(default_folder(recipe.name, resolved(recipe)))
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
    said = {"when": now(), "recipe": recipe.name, "rows": sorted(_key(row) for row in rows)}
    try:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        with FILE.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")  # one write of a line: two processes do not mix theirs
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(FILE, error) from error


def before(rows: Iterable[Prompted]) -> Mapping[str, Any] | None:
    """How many of these test rows were looked at before, and when first; None when none was.

    Raises:
        InputError: the record is damaged.
    """
    found = _record()
    times = [found[key] for row in rows if (key := _key(row)) in found] if found else []
    return {"rows": len(times), "first": min(times)} if times else None


def _record() -> dict[str, str]:
    """When each row was looked at first, by its key."""
    if not FILE.is_file():
        return {}
    first: dict[str, str] = {}
    for number, line in enumerate(FILE.read_text("utf-8", "replace").splitlines(), 1):
        try:
            said = json.loads(line)
            for key in said["rows"]:
                first.setdefault(key, str(said["when"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                "the record of test rows that were looked at is damaged",
                where=f"{FILE}:{number}",
                found=line[:60],
                expected='{"when": ..., "recipe": ..., "rows": [...]}',
                fix="mend the line, or remove it if it was written by no one",
            ) from None
    return first


def _key(row: Prompted) -> str:
    return hashing.of_json(dict(row.fields))
