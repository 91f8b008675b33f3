"""The whole job of a recipe: prepare, ask the base model, tune, ask the tuned model, compare, report.

A stage is skipped when its output exists, is whole, and belongs to this recipe, these rows and this model: the same command
resumes after any stop. Nothing is written before all rows are read and found good.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage import report
from tutelage.config.schema import Recipe
from tutelage.evaluation.progress import Listener
from tutelage.job import diagnosing, in_sequence, integrity, merged_copy, protecting, stages, tuning
from tutelage.job.context import start
from tutelage.job.preparing import prepare_for_model, read_inputs, results_key
from tutelage.models import fingerprint


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    Attributes:
        folder: the run folder.
        results: the content of `results.json`.
        fresh: whether anything was computed; False when the run was complete before.
    """

    folder: Path
    results: Mapping[str, Any]
    fresh: bool

    @property
    def over_budget(self) -> bool:
        """Whether a watched benchmark lost more than the recipe's `retain` allows."""
        return bool(self.results["provenance"].get("over_budget"))

    @property
    def missed(self) -> tuple[str, ...]:
        """The tasks that miss a target that the recipe states (`reach`), not by chance."""
        return self._tasks_whose_target_is("missed")

    @property
    def undecided(self) -> tuple[str, ...]:
        """The watched benchmarks of whose stated budget, and the tasks of whose stated target, it cannot be told whether they keep to it."""
        watched = tuple(
            name
            for name, outcome in self.results["watched"].items()
            if outcome.get("budget", {}).get("word") == "cannot tell"
        )
        return (*watched, *self._tasks_whose_target_is("cannot tell"))

    def _tasks_whose_target_is(self, word: str) -> tuple[str, ...]:
        return tuple(
            name
            for name, outcome in self.results["tasks"].items()
            if any(target["word"] == word for target in outcome.get("reach", {}).values())
        )


def run(
    recipe: Recipe,
    *,
    out: Path | None = None,
    data_dir: Path | None = None,
    listener: Listener | None = None,
) -> RunResult:
    """Do a recipe's whole job, or what is left of it.

    Args:
        recipe: from `tutelage.config.load`.
        out: the run folder; `runs/<name>-<hash>` by default.
        data_dir: the folder of `local` data files.
        listener: receives progress.

    Raises:
        InputError: the recipe's data or model is wrong, or the folder holds another run.
        MachineError: disk, network or another process stood in the way.
    """
    context = start(recipe, out=out, data_dir=data_dir, listener=listener)
    context = protecting.with_self_replay(context)
    inputs = read_inputs(context)
    key = results_key(context, inputs)
    results = integrity.finished_results(
        context.folder, key, base=fingerprint(inputs.source), say=context.say("check")
    )
    if results is not None:
        merged = merged_copy.add_to_finished(context)
        diagnosed = context.recipe.diagnose and diagnosing.diagnose_finished(context, inputs, results)
        if not (merged or diagnosed):
            context.listener.stage("done", "everything was done before")
        return RunResult(context.folder.path, results, fresh=merged or diagnosed)
    report.output(context.folder.path).check()
    prepared, base = prepare_for_model(context, inputs)
    with stages.open_run(context, prepared.rows.card) as store:
        protecting.bring_back(context)
        base_scores = stages.measure_base(context, prepared, base, store)
        plan = tuning.plan_tuning(context.recipe, prepared.rows, base.fingerprint)
        tracker = stages.tracker_of(context, prepared, plan, store, base_is_measured=True)
        tuning.tune_if_needed(
            context, prepared.rows, plan, base=base, source=inputs.source, store=store, tracker=tracker
        )
        del base  # frees its memory for the tuned model
        gc.collect()
        searched = protecting.search(context, prepared, plan, base_scores, store)
        tuned_scores = stages.measure_tuned(context, prepared, plan, store)
        sequence = in_sequence.measure_sequence(context, prepared.earlier, prepared.rows, store)
        comparison = stages.compare_scores(context, prepared, base_scores, tuned_scores, store=store)
        identity = {"key": key, "weights": inputs.model_fingerprint}
        results = stages.write_results(
            context,
            prepared,
            comparison,
            base=base_scores,
            tuned=tuned_scores,
            store=store,
            identity=identity,
            searched=searched,
            curve=None if tracker is None else tracker.curve(),
            sequence=sequence,
        )
        merged_copy.write_if_needed(context)
        if context.recipe.diagnose:
            diagnosing.diagnose(context, inputs.source, prepared.benchmarks, results, store)
        context.listener.stage("report")
        report.write(context.folder.path)
    return RunResult(context.folder.path, results, fresh=True)


def train(
    recipe: Recipe,
    *,
    out: Path | None = None,
    data_dir: Path | None = None,
    listener: Listener | None = None,
) -> Path:
    """Do only the tuning of a recipe; `run` with the same recipe measures later.

    Arguments and errors are those of `run`.

    Returns:
        The run folder, with the tuned model in its `model`.
    """
    context = protecting.with_self_replay(start(recipe, out=out, data_dir=data_dir, listener=listener))
    inputs = read_inputs(context)
    prepared, base = prepare_for_model(context, inputs)
    with stages.open_run(context, prepared.rows.card) as store:
        plan = tuning.plan_tuning(recipe, prepared.rows, base.fingerprint)
        tracker = stages.tracker_of(context, prepared, plan, store, base_is_measured=False)
        tuning.tune_if_needed(
            context, prepared.rows, plan, base=base, source=inputs.source, store=store, tracker=tracker
        )
        merged_copy.write_if_needed(context)
    return context.folder.path
