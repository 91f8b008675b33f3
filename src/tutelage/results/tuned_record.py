"""tuned.json: which tuning a run's model/ is of, and the manifest of its files.

It is written last, once the model is whole. Runs of older versions have no manifest: their model cannot be checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tutelage.core import files, hashing, manifest
from tutelage.core.errors import InputError
from tutelage.results import document, schemas

FILE, MODEL = "tuned.json", "model"
WHEN_WRITTEN, LATER = "when written", "later"
"""When a manifest was made: with the model, or afterwards of a model that an older version had written."""
UNCHECKED = (
    "the run was made before hashes of the tuned model were kept, so its files cannot be checked; "
    "`tutelage run` with its recipe records them as they are now"
)

NO_RECORD = (
    "tuned.json is missing, which has the hashes of the tuned model, so its files cannot be checked; "
    "`tutelage run` with the run's recipe tunes again and writes it"
)


def read(run: Path) -> dict[str, Any] | None:
    """A run's tuned.json; None when there is none.

    Raises:
        InputError: it is damaged; the fix says how it is made again.
    """
    path = run / FILE
    if not path.exists():  # nor where a link leads to
        return None
    fix = f"bring back a copy, or remove {path}: `tutelage run` with the run's recipe then writes it again"
    return document.load_checked(path, schemas.TunedRecord, what="the record of the tuned model", fix=fix)


def recorded(run: Path) -> dict[str, Any] | None:
    """The record of a run's tuned model: tuned.json or, if that is missing, its copy in results.json; None without either.

    Raises:
        InputError: tuned.json is damaged. A damaged results.json counts as missing.
    """
    record = read(run)
    if record is None:
        with suppress(InputError):
            record = (document.read(run / "results.json").get("made_from") or {}).get("tuned")
    return record


def write(run: Path, record: Mapping[str, Any]) -> None:
    """Write a run's tuned.json, whole or not at all."""
    files.write_text(run / FILE, json.dumps(record, indent=1) + "\n")


def require_model(run: Path, record: Mapping[str, Any]) -> None:
    """Check a run's model against its manifest; without a manifest nothing is checked.

    Raises:
        InputError: a file of the model is missing, differs or was added; InputErrors for several.
    """
    model = run / MODEL
    if record.get("files") is None:
        return
    fix = f"bring back a copy, or remove {model}: `tutelage run` with the run's recipe then tunes again"
    if not model.is_dir():
        raise InputError(
            "the run's tuned model is not there",
            where=str(model),
            found="a file" if model.exists() else "no such folder",
            expected=f"the files that {run / FILE} names",
            fix="bring back a copy, or run the recipe again: it then tunes again",
        )
    manifest.require(model, record["files"], what="the tuned model", fix=fix)


def run_of(folder: Path) -> Path | None:
    """The run whose tuned model, or adapter beside a merged model, a folder is; None for any other folder."""
    place = folder.resolve()
    for model in (place, place.parent):
        run = model.parent
        signs = (run / FILE, run / "results.sqlite")
        if model.name == MODEL and any(os.path.lexists(sign) for sign in signs):
            return run
    return None


def weights(record: Mapping[str, Any]) -> str | None:
    """The hash of a tuned model's weights, which answers depend on; None where it was not made with the model.

    Answers of a run of an older version are known by its tuning alone, and stay so.
    """
    if record.get("recorded") != WHEN_WRITTEN:
        return None
    return hashing.of_json(
        {name: file["sha256"] for name, file in record["files"].items() if name.endswith(".safetensors")}
    )
