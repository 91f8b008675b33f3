"""The stages of a run that ask a model: the base before the tuning, the tuned model after it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tutelage.core import hashing
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.measure import ModelEvaluator, ModelScores
from tutelage.job.context import RunContext
from tutelage.job.preparing import PreparedRun
from tutelage.job.tuning import TuningPlan
from tutelage.models import LoadedModel, load, resolve
from tutelage.prepare import template_clock
from tutelage.results import tuned_record
from tutelage.results.store import Store


def measure_base(context: RunContext, prepared: PreparedRun, base: LoadedModel, store: Store) -> ModelScores:
    """Answer and score everything with the base model."""
    fingerprint = template_clock.with_instant(base.fingerprint, context.clock)
    return _measure(context, prepared, store, model="base", fingerprint=fingerprint, load_model=lambda: base)


def measure_tuned(context: RunContext, prepared: PreparedRun, plan: TuningPlan, store: Store) -> ModelScores:
    """Answer and score everything with the tuned model, loaded as it was saved: what is scored is what is delivered."""
    weights = tuned_record.weights_hash(tuned_record.read(context.folder.path) or {})
    fingerprint = plan.identity if weights is None else hashing.of_json([plan.identity, weights])

    def load_tuned() -> LoadedModel:
        source = resolve(str(context.folder.model))
        return load(source, chat_template=None, four_bit=context.four_bit, clock=context.clock)

    return _measure(context, prepared, store, model="tuned", fingerprint=fingerprint, load_model=load_tuned)


def _measure(
    context: RunContext,
    prepared: PreparedRun,
    store: Store,
    *,
    model: str,
    fingerprint: str,
    load_model: Callable[[], LoadedModel],
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
        return evaluator.measure(prepared.rows.tested, prepared.benchmarks)
