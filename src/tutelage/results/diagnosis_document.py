"""diagnosis.json: whether a run lost knowledge or form, with what it was computed from. It is written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tutelage.core import files, hashing
from tutelage.core.errors import InputError
from tutelage.results import document, schemas
from tutelage.results.run_folder import RunFolder

FIX = "remove it, and run `tutelage diagnose` with the run's folder: nothing is answered twice"


def source_of(results: Mapping[str, Any]) -> str:
    """The hash of what a diagnosis is made from: the run, its tuned model, and the answers of both models to what is watched.

    Args:
        results: the content of results.json.
    """
    made_from = results.get("made_from") or {}
    evaluations = [
        [evaluation["model"], evaluation["name"], evaluation["answers"]]
        for evaluation in (made_from.get("store") or {}).get("evaluations", [])
        if evaluation["suite"] == "benchmark" and evaluation["model"] in ("base", "tuned")
    ]
    return hashing.of_json([results["provenance"].get("key"), made_from.get("tuned"), sorted(evaluations)])


def write(run: Path, content: Mapping[str, Any]) -> None:
    """Check and write a run's diagnosis.json with a hash of its content."""
    path = RunFolder(run).diagnosis
    sealed = document.sealed(content)
    schemas.check("diagnosis", sealed, where=str(path), fix=FIX)
    files.write_text(path, json.dumps(sealed, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def read(run: Path) -> dict[str, Any] | None:
    """Read a run's diagnosis.json; None if there is none.

    Raises:
        InputError: it is damaged or was edited.
    """
    path = RunFolder(run).diagnosis
    if not path.exists():
        return None
    return document.load_checked(path, "diagnosis", subject="the diagnosis", fix=FIX)


def is_of(diagnosis: Mapping[str, Any], results: Mapping[str, Any]) -> bool:
    """Whether a diagnosis was made from these results."""
    return bool(diagnosis["made_from"] == source_of(results))


def sentences(run: Path, results: Mapping[str, Any]) -> list[str]:
    """What a run's diagnosis says; nothing where there is none, or none of these results."""
    with suppress(InputError):  # the report says that it is damaged
        diagnosis = read(run)
        if diagnosis is not None and is_of(diagnosis, results):
            return list(diagnosis["sentences"])
    return []
