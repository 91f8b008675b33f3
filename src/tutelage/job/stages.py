"""The stages of a run after the preparation: folder opened, models measured, scores compared, results written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from typing import Any

from tutelage import report
from tutelage.comparison import (
    BEST_ON_VALIDATION,
    Comparison,
    compare_models,
    lost_items,
)
from tutelage.comparison.budgets import Budget
from tutelage.comparison.fixed_sequence import SequenceResult
from tutelage.core import files, hashing
from tutelage.core.errors import InputError
from tutelage.core.provenance import timestamp
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.measure import ModelEvaluator, ModelScores, pair_scores
from tutelage.job import integrity, task_facts, tuning
from tutelage.job.context import RunContext
from tutelage.job.preparing import PreparedRun
from tutelage.job.tracking import Tracker
from tutelage.job.tuning import TuningPlan
from tutelage.models import LoadedModel, load, loading_lines, resolve
from tutelage.prepare import template_clock
from tutelage.prepare.preparation import Prepared
from tutelage.prepare.recipe_mixture import rows_seen
from tutelage.protection import confirmable
from tutelage.results import digests, document, tuned_record
from tutelage.results.folder_claim import claim
from tutelage.results.store import Store


@contextmanager
def open_run(context: RunContext, card: Mapping[str, Any]) -> Iterator[Store]:
    """Lock the run folder for the block, write its data card, and open its store.

    Raises:
        InputError: the folder holds another run, or stored answers were edited after results were computed from them.
        MachineError: another process works in the folder.
    """
    with claim(context.folder, context.record), Store.open(context.folder.store) as store:
        digests.require_answers(store)
        if context.recipe.date is None:
            template_clock.keep_instant(context.folder.path, context.clock)
        write_card(context, card)
        yield store


def write_card(context: RunContext, card: Mapping[str, Any]) -> None:
    """Write the data card. The `training` of an earlier card of the same rows stays in it."""
    card = {**card, **template_clock.card_entry(context.clock)}
    if "training" not in card:
        with suppress(InputError):  # a damaged one is written again
            earlier = integrity.read_card(context.folder)
            if earlier.pop("training", None) is not None and earlier == json.loads(json.dumps(card)):
                return
    files.write_text(context.folder.card, json.dumps(card, indent=1, ensure_ascii=False) + "\n")


def measure_base(context: RunContext, prepared: PreparedRun, base: LoadedModel, store: Store) -> ModelScores:
    """Answer and score everything with the base model, and validation rows where something is chosen by them."""
    fingerprint = template_clock.with_instant(base.fingerprint, context.clock)
    chooses = context.recipe.protect is not None and bool(context.recipe.protect.scales)
    scores = _measure(
        context,
        prepared,
        store,
        model="base",
        fingerprint=fingerprint,
        load_model=lambda: base,
        validation=chooses,
    )
    for name, notes in _limits_of_watching(context, prepared, scores).items():
        for note in notes:
            context.listener.stage(f"base: {name}", note)
    return scores


def _limits_of_watching(
    context: RunContext, prepared: PreparedRun, base: ModelScores
) -> dict[str, list[str]]:
    """By watched benchmark, what its items cannot show of forgetting."""
    budgets = context.budgets(prepared.benchmarks)
    return {
        benchmark.name: list(
            confirmable.notes(benchmark, base.benchmarks[benchmark.name], budgets.get(benchmark.name))
        )
        for benchmark in prepared.benchmarks
    }


def tracker_of(
    context: RunContext, prepared: PreparedRun, plan: TuningPlan, store: Store, *, base_is_measured: bool
) -> Tracker | None:
    """What measures the training at some steps; None where the recipe does not `track` it. Says which tasks cannot be measured."""
    if context.recipe.track is None:
        return None
    tracker = Tracker(
        context,
        prepared.rows.questions,
        prepared.benchmarks,
        training=plan.identity,
        steps=plan.settings.steps,
        store=store,
        base_is_measured=base_is_measured,
    )
    for name in tracker.samples.left_out:
        context.listener.stage("prepare", f"{name} has no validation rows, so it is not tracked")
    return tracker


def measure_tuned(context: RunContext, prepared: PreparedRun, plan: TuningPlan, store: Store) -> ModelScores:
    """Answer and score everything with the tuned model, loaded as it was saved: what is scored is what is delivered."""
    record = tuned_record.read(context.folder.path) or {}
    weights = tuned_record.weights_hash(record)
    identities = [
        plan.identity,
        *([] if weights is None else [weights]),
        *([record["scale"]] if "scale" in record else []),
    ]
    fingerprint = plan.identity if len(identities) == 1 else hashing.of_json(identities)
    return _measure(
        context,
        prepared,
        store,
        model="tuned",
        fingerprint=fingerprint,
        load_model=lambda: load(
            resolve(str(context.folder.model)),
            chat_template=None,
            four_bit=context.four_bit,
            clock=context.clock,
        ),
    )


def _measure(
    context: RunContext,
    prepared: PreparedRun,
    store: Store,
    *,
    model: str,
    fingerprint: str,
    load_model: Callable[[], LoadedModel],
    validation: bool = False,
) -> ModelScores:
    with open_answer_cache(context.say("cache")) as answer_cache:
        evaluator = ModelEvaluator(
            store,
            model,
            fingerprint,
            context.provenance(),
            cache(lambda: keyed_engine(load_model())),
            context.listener,
            answer_cache,
            stage_prefix=f"{model}: ",
        )
        scores = evaluator.measure(prepared.rows.questions, prepared.benchmarks)
        for task in () if prepared.earlier is None or model != "tuned" else prepared.earlier.all_questions:
            evaluator.measure_task(task)
        if not validation:
            return scores
        return replace(scores, validation=evaluator.measure_validation(prepared.rows.questions))


def compare_scores(
    context: RunContext,
    prepared: PreparedRun,
    base: ModelScores,
    tuned: ModelScores,
    *,
    store: Store,
) -> Comparison:
    """Compare the tuned model's scores with the base's: what was learned, what was forgotten, and the verdict.

    `store` has both models' answers.
    """
    context.listener.stage("compare")
    return compare_models(
        pair_scores(base.tasks, tuned.tasks),
        pair_scores(base.benchmarks, tuned.benchmarks),
        budgets=context.budgets(prepared.benchmarks),
        groups=prepared.rows.groups,
        targets={questions.name: questions.task.reach for questions in prepared.rows.questions},
        facts=task_facts.for_verdict(store, prepared.rows.questions),
    )


def write_results(
    context: RunContext,
    prepared: PreparedRun,
    comparison: Comparison,
    *,
    base: ModelScores,
    tuned: ModelScores,
    store: Store,
    identity: Mapping[str, str],
    searched: SequenceResult | None = None,
    curve: Mapping[str, Any] | None = None,
    sequence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write results.json and the final data card.

    Args:
        context: the run.
        prepared: its rows and benchmarks.
        comparison: base and tuned model compared.
        base: the base model's scores, of which the best wordings go into the results.
        tuned: the tuned model's scores; the notes of its benchmarks go into the results.
        store: all responses, and the training log.
        identity: hashes of what the results belong to, for their provenance.
        searched: the search of scales; None without one.
        curve: gain and loss over the training; None where it was not tracked.
        sequence: what this run did to the tasks of the runs before it; None without any.

    Returns:
        The content of results.json.
    """
    folder = context.folder
    write_card(context, {**prepared.rows.card, "training": _training(context, prepared.rows, store)})
    provenance = {
        **context.provenance(ended=timestamp()),
        **identity,
        "seconds": round(time.monotonic() - context.start_time, 1),
        "over_budget": comparison.over_budget or _none_within(searched, context.budgets(prepared.benchmarks)),
        "load": loading_lines(folder.model, shown=str(folder.model.absolute())),
    }
    compared = comparison.as_json()
    limits = _limits_of_watching(context, prepared, base)
    for name, measurement in tuned.benchmarks.items():
        compared["watched"][name]["told"] = told = dict(measurement.notes)
        if limits[name]:
            earlier = measurement.notes.get("notes")
            told["notes"] = [*(earlier if isinstance(earlier, list) else []), *limits[name]]
        if (lost := lost_items.of_benchmark(store, name)) is not None:
            compared["watched"][name]["lost_items"] = lost.as_json()
    task_facts.add_to(compared["tasks"], store, prepared.rows.questions)
    for name, measurement in tuned.tasks.items():
        if measurement.best_wording:
            wordings = f"{base.tasks[name].best_wording} (base), {measurement.best_wording} (tuned)"
            compared["tasks"][name]["told"] = {
                "notes": [f"wordings that are {BEST_ON_VALIDATION}: {wordings}"]
            }
    if searched is not None:
        compared["protection"] = searched.as_json()
    if curve is not None:
        compared["curve"] = dict(curve)
    if sequence is not None:
        compared["sequence"] = dict(sequence)
    compared["made_from"] = integrity.made_from(folder, store)
    results = document.sealed(
        document.build(recipe=context.record, provenance=provenance, comparison=compared)
    )
    # A page of older results must not pass for the page of these.
    report.output(folder.path).check().unlink(missing_ok=True)
    document.write(folder.results, results)
    return results


def _none_within(searched: SequenceResult | None, stated: Mapping[str, Budget]) -> bool:
    """Whether a search found no scale at which a benchmark with a budget of the recipe is within it and no part of it fell."""
    if searched is None or searched.chosen is not None:
        return False
    return any(name in stated and not test.passed for name, test in searched.candidates[-1].losses.items())


def _training(context: RunContext, rows: Prepared, store: Store) -> dict[str, Any]:
    """The card's entry on what the training saw: totals, and of several tasks or forms what of each.

    If the log was lost with the store, the totals are those that tuned.json keeps.
    """
    totals = tuning.log_totals(store)
    if not totals["steps"]:
        totals = (tuned_record.read(context.folder.path) or {}).get("seen") or totals
    entry = {"objective": tuning.objective_weights(context.recipe), **totals}
    one_form = all(len({(row.template, row.style) for row in task.rows.train}) <= 1 for task in rows.tasks)
    if len(rows.tasks) > 1 or not one_form:
        positions = entry["steps"] * context.recipe.tune.batch_size
        entry["tasks"] = rows_seen(rows.mixture, rows.tasks, positions)
    return entry
