"""tuned.json: the identity of the tuning that made a run's model, and the manifest of the model's files.

It is written last, when the model is complete. Runs of older versions have no manifest, so their model cannot be checked.
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
from tutelage.results import document
from tutelage.results.run_folder import RunFolder

WHEN_WRITTEN, LATER = "when written", "later"
"""When the manifest was made: with the model, or later, for a model that an older version had written."""
UNCHECKED = (
    "the run was made before hashes of the tuned model were kept, so its files cannot be checked; "
    "`tutelage run` with its recipe records them as they are now"
)

NO_RECORD = (
    "tuned.json is missing, which has the hashes of the tuned model, so its files cannot be checked; "
    "`tutelage run` with the run's recipe tunes again and writes it"
)


def read(run: Path) -> dict[str, Any] | None:
    """Read a run's tuned.json; None if there is none.

    Raises:
        InputError: it is damaged; the fix says how to make it again.
    """
    path = RunFolder(run).tuned
    if not path.exists():  # also for a link that leads nowhere
        return None
    fix = f"bring back a copy, or remove {path}: `tutelage run` with the run's recipe then writes it again"
    return document.load_checked(path, "tuned", subject="the record of the tuned model", fix=fix)


def read_or_recover(run: Path) -> dict[str, Any] | None:
    """Read a run's tuned.json or, if that is missing, its copy in results.json; None if there is neither.

    Raises:
        InputError: tuned.json is damaged. A damaged results.json counts as missing.
    """
    record = read(run)
    if record is None:
        with suppress(InputError):
            record = (document.read(RunFolder(run).results).get("made_from") or {}).get("tuned")
    return record


def write(run: Path, record: Mapping[str, Any]) -> None:
    """Write a run's tuned.json, whole or not at all."""
    files.write_text(RunFolder(run).tuned, json.dumps(record, indent=1) + "\n")


def require_model(run: Path, record: Mapping[str, Any]) -> None:
    """Check a run's model against the manifest in its record; without a manifest nothing is checked.

    Raises:
        InputError: a file of the model is missing, was changed, or was added; InputErrors for several.
    """
    folder = RunFolder(run)
    model = folder.model
    if record.get("files") is None:
        return
    fix = f"bring back a copy, or remove {model}: `tutelage run` with the run's recipe then tunes again"
    if not model.is_dir():
        raise InputError(
            "the run's tuned model is not there",
            where=str(model),
            found="a file" if model.exists() else "no such folder",
            expected=f"the files that {folder.tuned} names",
            fix="bring back a copy, or run the recipe again: it then tunes again",
        )
    manifest.require(model, record["files"], subject="the tuned model", fix=fix)


def run_of(folder: Path) -> Path | None:
    """Find the run that a folder is the tuned model of, or the adapter beside a merged model; None for any other folder."""
    resolved = folder.resolve()
    for model in (resolved, resolved.parent):
        run = RunFolder(model.parent)
        if model == run.model and any(os.path.lexists(path) for path in (run.tuned, run.store)):
            return run.path
    return None


def weights_hash(record: Mapping[str, Any]) -> str | None:
    """Hash the weights of a tuned model; None if the manifest was not made with the model.

    The fingerprint of the model's answers includes this hash. Runs of older versions have fingerprints without it, which
    must stay as they are.
    """
    if record.get("recorded") != WHEN_WRITTEN:
        return None
    return hashing.of_json(
        {name: file["sha256"] for name, file in record["files"].items() if name.endswith(".safetensors")}
    )
