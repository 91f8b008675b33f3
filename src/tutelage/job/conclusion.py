"""The last stages of a run: scores compared, results written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tutelage import report
from tutelage.comparison import Comparison, compare
from tutelage.core.provenance import now
from tutelage.evaluation.measure import ModelScores, pair_scores
from tutelage.job import integrity, tuning
from tutelage.job.context import RunContext
from tutelage.job.opening import write_card
from tutelage.job.preparing import PreparedRun
from tutelage.models import loading_lines
from tutelage.prepare.preparation import Prepared
from tutelage.prepare.recipe_mixture import rows_seen
from tutelage.results import document, tuned_record
from tutelage.results.store import Store


def compare_scores(
    context: RunContext, prepared: PreparedRun, base: ModelScores, tuned: ModelScores
) -> Comparison:
    """Compare the tuned model's scores with the base's: what was learned, what was forgotten, and the verdict."""
    context.listener.stage("compare")
    # The recipe may call a benchmark by its path, or without its variant.
    name_of = {
        watch.benchmark: benchmark.name
        for watch, benchmark in zip(context.recipe.watch, prepared.benchmarks, strict=True)
    }
    return compare(
        pair_scores(base.tasks, tuned.tasks),
        pair_scores(base.benchmarks, tuned.benchmarks),
        budgets={name_of[name]: points for name, points in context.recipe.retain.items()},
        groups=prepared.rows.groups,
    )


def write_results(
    context: RunContext,
    prepared: PreparedRun,
    comparison: Comparison,
    *,
    tuned: ModelScores,
    store: Store,
    identity: Mapping[str, str],
) -> dict[str, Any]:
    """Write results.json and the final data card.

    Args:
        context: the run.
        prepared: its rows and benchmarks.
        comparison: base and tuned model compared.
        tuned: the tuned model's scores; the notes of its benchmarks go into the results.
        store: all responses, and the training log.
        identity: hashes of what the results belong to, for their provenance.

    Returns:
        The content of results.json.
    """
    folder = context.folder
    write_card(context, {**prepared.rows.card, "training": _training(context, prepared.rows, store)})
    provenance = {
        **context.provenance(ended=now()),
        **identity,
        "seconds": round(time.monotonic() - context.start_time, 1),
        "over_budget": comparison.over_budget,
        "load": loading_lines(folder.model, shown=str(folder.model.absolute())),
    }
    compared = comparison.as_json()
    for name, measurement in tuned.benchmarks.items():
        compared["watched"][name]["told"] = dict(measurement.notes)
    compared["made_from"] = integrity.made_from(folder, store)
    results = document.sealed(
        document.build(recipe=context.record, provenance=provenance, comparison=compared)
    )
    # A page of older results must not pass for the page of these.
    report.output(folder.path).check().unlink(missing_ok=True)
    document.write(folder.results, results)
    return results


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
