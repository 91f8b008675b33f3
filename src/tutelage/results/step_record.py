"""curve.json: scores at the measured steps of a training, written anew whenever a step is measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.core import files
from tutelage.results import document
from tutelage.results.run_folder import RunFolder


def read(run: Path) -> dict[str, Any] | None:
    """Read a run's curve.json; None if there is none.

    Raises:
        InputError: it is damaged, or was edited.
    """
    path = RunFolder(run).curve
    if not path.exists():
        return None
    fix = f"bring back a copy, or remove {path}: a training that is not finished measures its steps again, a finished one has no curve then"
    return document.load_checked(path, "step_record", subject="the record of the measured steps", fix=fix)


def write(run: Path, record: Mapping[str, Any]) -> None:
    """Write a run's curve.json, whole or not at all."""
    text = json.dumps(document.sealed(record), ensure_ascii=False, allow_nan=False, indent=1)
    files.write_text(RunFolder(run).curve, text + "\n")
