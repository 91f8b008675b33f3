"""Protects a finished run: searches the scales of what it changed, in a folder of its own, without tuning again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.comparison.budgets import Budget, Nats
from tutelage.config import from_mapping
from tutelage.config.identity import record
from tutelage.config.schema import Recipe
from tutelage.evaluation.progress import Listener
from tutelage.job.finished_run import recipe_root, require_finished
from tutelage.job.run import RunResult, run
from tutelage.results import tuned_record
from tutelage.results.folder_claim import claim
from tutelage.results.run_folder import RunFolder


def protect_run(
    finished: Path,
    *,
    scales: Sequence[float],
    budgets: Mapping[str, Budget] | None = None,
    recipe: Path | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
    listener: Listener | None = None,
) -> RunResult:
    """Find the scale of a run's tuned change that keeps the most gain within budget.

    The new folder has the run's recipe with `protect.scales` and the budgets, takes over its tuned model, and is a run like any other:
    the same call resumes it.

    Args:
        finished: the run folder.
        scales: the largest is tried first, then from the smallest on.
        budgets: points or nats that watched benchmarks may lose, beside those of the run's recipe.
        recipe: the file of the run's recipe, to whose folder its paths are relative; by default that of the command that made the run.
        out: the new folder; RUN-protected by default.
        data_dir: the folder of `local` data files.
        listener: receives progress.

    Raises:
        InputError: the run is not finished, its rows or model are not as they were, or a budget names nothing that it watched.
        MachineError: the disk does not take the new folder.
    """
    source = RunFolder(finished)
    results = require_finished(finished, fix="run its recipe to the end, or write protect: auto into it")
    tuned = tuned_record.read_or_recover(finished) or {}
    tuned_record.require_model(finished, tuned)
    protected = _with_scales(results, scales, budgets or {}, root=recipe_root(results, recipe))
    target = RunFolder(out or finished.with_name(f"{finished.resolve().name}-protected"))
    with claim(target, record(protected, target)):
        if not target.tuned.is_file():
            _take_over(source, target, tuned)
    return run(protected, out=target.path, data_dir=data_dir, listener=listener)


def _with_scales(
    results: Mapping[str, Any], scales: Sequence[float], budgets: Mapping[str, Budget], *, root: Path
) -> Recipe:
    """The run's recipe with a search of scales."""
    values = dict(results["recipe"])
    protect = {**(values.get("protect") or {}), "scales": list(scales)}
    stated = {
        name: {"nats": budget.amount} if isinstance(budget, Nats) else budget
        for name, budget in budgets.items()
    }
    retain = {**values.get("retain", {}), **stated}
    return from_mapping({**values, "protect": protect, "retain": retain}, root=root)


def _take_over(source: RunFolder, target: RunFolder, tuned: Mapping[str, Any]) -> None:
    """Copy a run's tuned model as it was trained, its curve, and what was replayed, into another folder; the record last."""
    trained = source.unscaled if source.unscaled.is_dir() else source.model
    shutil.rmtree(target.model, ignore_errors=True)
    shutil.copytree(trained, target.model)
    for path in (source.self_replay, source.self_replay.with_suffix(".json")):
        if path.is_file():
            (target.path / "data").mkdir(exist_ok=True)
            shutil.copyfile(path, target.path / "data" / path.name)
    if source.curve.is_file():
        shutil.copyfile(source.curve, target.curve)
    tuned_record.write(target.path, tuned.get("unscaled", tuned))
