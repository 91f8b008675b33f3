"""Diagnoses a finished run from its folder: whether what it forgot was knowledge or form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.config import from_mapping
from tutelage.core.errors import InputError
from tutelage.evaluation.progress import Listener
from tutelage.job import diagnosing, integrity, protecting
from tutelage.job.context import start
from tutelage.job.finished_run import recipe_root, require_finished
from tutelage.job.preparing import read_inputs, results_key
from tutelage.models import fingerprint
from tutelage.results import diagnosis_document


@dataclass(frozen=True, slots=True)
class DiagnosisResult:
    """The result of a diagnosis.

    Attributes:
        folder: the run folder.
        diagnosis: the content of `diagnosis.json`.
        fresh: whether anything was computed; False when it was there before.
    """

    folder: Path
    diagnosis: Mapping[str, Any]
    fresh: bool


def diagnose_run(
    finished: Path,
    *,
    control: bool = False,
    recipe: Path | None = None,
    data_dir: Path | None = None,
    listener: Listener | None = None,
) -> DiagnosisResult:
    """Rescore the lost items of a finished run and try the re-alignment probe; the same call resumes it.

    Args:
        finished: the run folder; `diagnosis.json` is written into it, and its page anew.
        control: whether the base learns the same rows as well.
        recipe: the file of the run's recipe, to whose folder its paths are relative; by default that of the command that made the run.
        data_dir: the folder of `local` data files.
        listener: receives progress.

    Raises:
        InputError: the run is not finished or watched nothing, or its rows, base, benchmarks or model are not as they were.
        MachineError: the disk, the memory, or another process stood in the way.
    """
    results = require_finished(finished, fix="run its recipe to the end, then diagnose it")
    if not results["watched"]:
        raise InputError(
            "the run watched nothing, so nothing that it lost can be diagnosed",
            where=str(finished),
            found="no watched benchmark",
            expected="at least one",
            fix="add  watch: [{benchmark: general-probe}]  to its recipe, and run that",
        )
    recorded = from_mapping(results["recipe"], root=recipe_root(results, recipe))
    context = start(recorded, out=finished, data_dir=data_dir, listener=listener)
    context = protecting.with_self_replay(context)
    inputs = read_inputs(context)
    key = results_key(context, inputs)
    whole = integrity.finished_results(
        context.folder, key, base=fingerprint(inputs.source), say=context.say("check")
    )
    if whole is None:
        raise InputError(
            "the run is not as it was when its results were computed",
            where=str(finished),
            found="other rows, another base or other benchmarks, or files that are missing",
            expected=f"what {context.folder.results} was computed from",
            fix="run its recipe again, then diagnose the run that this makes",
        )
    fresh = diagnosing.diagnose_finished(context, inputs, whole, control=control)
    diagnosis = diagnosis_document.read(finished)
    assert diagnosis is not None
    return DiagnosisResult(finished, diagnosis, fresh)
