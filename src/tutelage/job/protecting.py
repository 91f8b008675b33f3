"""The stages of a run that protect against forgetting: self-replay before the rows are read, the search of scales after the tuning."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial

from tutelage.comparison.fixed_sequence import SequenceResult
from tutelage.config.protect_block import BUNDLED, SAMPLED
from tutelage.core import hashing, manifest
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.cached_answers import answer
from tutelage.evaluation.measure import ModelEvaluator, ModelScores
from tutelage.job.context import RunContext
from tutelage.job.preparing import PreparedRun, load_benchmarks
from tutelage.job.start_model import start_model
from tutelage.job.tuning import TuningPlan
from tutelage.models import LoadedModel, fingerprint, load, resolve
from tutelage.models.scaling import write_scaled
from tutelage.prepare import template_clock
from tutelage.protection import self_replay
from tutelage.protection.sampled_prompts import sample_prompts
from tutelage.protection.scale_search import search_scales
from tutelage.results import tuned_record
from tutelage.results.folder_claim import claim
from tutelage.results.store import Store


def with_self_replay(context: RunContext) -> RunContext:
    """The run with the base's own answers among its rows, where its recipe asks for them; they are sampled unless they are there.

    Raises:
        InputError: the prompts are wrong, or no answer is fit to be learned.
        MachineError: another process works in the folder, or the disk does not take the answers.
    """
    settings = context.recipe.protect.self_replay if context.recipe.protect else None
    if settings is None:
        return context
    path = context.folder.self_replay
    source = start_model(context)
    template = context.recipe.template_text()
    watched = () if settings.prompts == BUNDLED else load_benchmarks(context)
    prompts: tuple[str, ...] = ()
    if settings.prompts == SAMPLED:
        prompt_source = tuple(benchmark.fingerprint for benchmark in watched)
    else:
        prompts = prompt_source = self_replay.written_prompts(settings, context.recipe.root)
        self_replay.check_prompts(prompts, watched)
    key = self_replay.key_of(settings, prompt_source, fingerprint(source), template)
    counts = self_replay.kept_counts(path, key)
    if counts is None:
        if settings.prompts == BUNDLED:
            load_benchmarks(context)  # mistakes of what is watched come before the sampling
        context.listener.stage("self-replay")
        with claim(context.folder, context.record), open_answer_cache(context.say("cache")) as answers:
            base = load(source, chat_template=template, four_bit=context.four_bit, clock=context.clock)
            engine = keyed_engine(base)
            ask = partial(answer, engine=engine, cache=answers, on_progress=context.listener.advance)
            sampled = None
            if settings.prompts == SAMPLED:
                prompts, sampled = sample_prompts(settings, watched, ask)
                context.listener.stage("self-replay", sampled.sentence())
            counts = self_replay.write_answers(path, key, settings, prompts, ask, sampled=sampled)
    context.listener.stage("self-replay", counts.sentence())
    return replace(context, recipe=self_replay.with_replay(context.recipe, settings, path), replayed=counts)


def search(
    context: RunContext, prepared: PreparedRun, plan: TuningPlan, base: ModelScores, store: Store
) -> SequenceResult | None:
    """Search the scales of the tuned change where the recipe names some, and leave the best model within budget in the folder.

    The model as it was trained is then in the folder `unscaled`, unless it is the best itself. When no candidate is within budget,
    the model stays as it was trained.

    Raises:
        InputError: the change cannot be scaled.
        MachineError: the disk does not take a candidate.
    """
    protect = context.recipe.protect
    if protect is None or not protect.scales:
        return None
    result = search_scales(
        protect.scales,
        base,
        lambda scale: _candidate(context, plan, scale, store),
        tasks=prepared.rows.questions,
        benchmarks=prepared.benchmarks,
        budgets=context.budgets(prepared.benchmarks),
    )
    if result.chosen is not None and result.chosen < 1:
        _deliver(context, result.chosen)
    return result


@contextmanager
def _candidate(context: RunContext, plan: TuningPlan, scale: float, store: Store) -> Iterator[ModelEvaluator]:
    """The evaluator of a candidate, which is loaded as it would be delivered."""
    folder, name = context.folder.candidate, f"scale {scale:g}"
    shutil.rmtree(folder, ignore_errors=True)
    weights = tuned_record.weights_hash(tuned_record.read(context.folder.path) or {})

    def load_candidate() -> LoadedModel:
        if scale < 1:
            write_scaled(resolve(str(context.folder.model)), scale, folder)
        return load(
            resolve(str(context.folder.model if scale == 1 else folder)),
            chat_template=None,
            four_bit=context.four_bit,
            clock=context.clock,
        )

    try:
        with open_answer_cache(context.say("cache")) as answers:
            yield ModelEvaluator(
                store,
                name,
                template_clock.with_instant(hashing.of_json([plan.identity, weights, scale]), context.clock),
                context.provenance(),
                cache(lambda: keyed_engine(load_candidate())),
                context.listener,
                answers,
                stage_prefix=f"{name}: ",
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _deliver(context: RunContext, scale: float) -> None:
    """Replace the model by the scaled one; the record of both is written before the last step."""
    folder = context.folder
    record = tuned_record.read(folder.path)
    assert record is not None
    write_scaled(resolve(str(folder.model)), scale, folder.candidate)
    shutil.rmtree(folder.unscaled, ignore_errors=True)
    folder.model.rename(folder.unscaled)
    folder.candidate.rename(folder.model)
    scaled = {"scale": scale, "files": manifest.of_folder(folder.model), "unscaled": record}
    tuned_record.write(folder.path, {**record, **scaled})


def bring_back(context: RunContext) -> None:
    """Put the model as it was trained back in its place, where an earlier search was stopped or is repeated."""
    folder = context.folder
    record = tuned_record.read(folder.path)
    if not folder.unscaled.is_dir():
        return
    shutil.rmtree(folder.model, ignore_errors=True)
    folder.unscaled.rename(folder.model)
    if record is not None and "unscaled" in record:
        tuned_record.write(folder.path, record["unscaled"])
