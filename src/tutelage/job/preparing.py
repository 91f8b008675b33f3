"""The first stage of a run: rows, model and benchmarks read and checked, then prepared for the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.config.identity import identity
from tutelage.core import hashing
from tutelage.evaluation.preflight import reference_notes
from tutelage.inspection import test_set_access
from tutelage.inspection.train_use_parity import check_parity
from tutelage.job import in_sequence, integrity, preflight
from tutelage.job.context import RunContext
from tutelage.job.in_sequence import EarlierTasks
from tutelage.job.start_model import start_model
from tutelage.models import (
    LoadedModel,
    ModelSource,
    base_facts,
    fingerprint,
    load,
    load_tokenizer,
    loaded_fingerprint,
    require_layers,
    require_whole,
    template_fingerprint,
)
from tutelage.prepare.answer_checks import check_answers
from tutelage.prepare.contamination import find_contamination
from tutelage.prepare.preparation import Prepared, encoder_of, prepare
from tutelage.prepare.reader import read_rows
from tutelage.prepare.task_rows import RecipeRows
from tutelage.training.completion_loss import require_packable
from tutelage.training.objective import require_prompt_loss


@dataclass(frozen=True, slots=True)
class RunInputs:
    """All that a run reads.

    Attributes:
        rows: the rendered rows of all tasks.
        source: the base model's files.
        benchmarks: the watched benchmarks.
        legacy: whether an older version began the run, whose identity left out the model's generation settings.
    """

    rows: RecipeRows
    source: ModelSource
    benchmarks: tuple[Benchmark, ...]
    legacy: bool

    @property
    def model_fingerprint(self) -> str:
        """The base model's fingerprint, as the run's identity has it."""
        return fingerprint(self.source, settings=not self.legacy)


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """The rows, the watched benchmarks and the tasks of earlier runs as the model takes them; None where the recipe continues no run."""

    rows: Prepared
    benchmarks: tuple[Benchmark, ...]
    earlier: EarlierTasks | None = None


def read_inputs(context: RunContext) -> RunInputs:
    """Read and check all that a run needs, except for weights.

    Raises:
        InputError: data, model or benchmarks are wrong.
        MachineError: the model cannot be fetched.
    """
    context.listener.stage("prepare")
    rows = read_rows(context.recipe, context.data_dir, say=context.say("prepare"))
    source = start_model(context)
    for note in source.notes:
        context.listener.stage("model", note)
    legacy = integrity.begun_before(context.folder, fingerprint(source))
    return RunInputs(rows, source, load_benchmarks(context), legacy)


def results_key(context: RunContext, inputs: RunInputs) -> str:
    """A hash of all that a run's results depend on."""
    return hashing.of_json(
        [
            identity(context.recipe),
            inputs.rows.identity,
            inputs.model_fingerprint,
            context.recipe.template_text() or template_fingerprint(inputs.source),
            [benchmark.fingerprint for benchmark in inputs.benchmarks],
            *in_sequence.results_key(inputs.rows),
        ]
    )


def prepare_for_model(context: RunContext, inputs: RunInputs) -> tuple[PreparedRun, LoadedModel]:
    """Load the base model, and prepare rows and benchmarks for it.

    Raises:
        InputError: rows or benchmarks do not fit the model, what would be trained is not what is asked in use, or the model
            cannot be tuned as the recipe says.
        MachineError: there is not enough memory.
    """
    recipe = context.recipe
    template = recipe.template_text()
    tokenizer = load_tokenizer(inputs.source, chat_template=template, clock=context.clock)
    benchmarks = preflight.fitted(recipe, inputs.benchmarks, tokenizer)
    base = load(inputs.source, chat_template=template, four_bit=context.four_bit, clock=context.clock)
    if inputs.legacy:
        dtype = "nf4" if context.four_bit else "float32"
        legacy_fingerprint = loaded_fingerprint(inputs.source, base.chat_template, dtype, settings=False)
        base = replace(base, fingerprint=legacy_fingerprint)
    # What the tuning would refuse is refused now, and not after hours of evaluating the base.
    require_whole(base)
    require_layers(base, recipe.tune.method, recipe.tune.options)
    if recipe.tune.packing:
        require_packable(base.model, base.model.device)
    require_prompt_loss(base.model, recipe.tune.prompt_loss_weight)
    rows = prepare(recipe, inputs.rows, base)
    if earlier := in_sequence.earlier_tasks(inputs.rows.earlier, base):
        in_sequence.announce(context, earlier, rows)
    check_parity(recipe, rows, tokenizer, say=context.say("prepare"))
    own_specs = (note for benchmark in benchmarks for note in reference_notes(benchmark))
    for note in (*check_answers(rows.tasks, encoder_of(recipe, tokenizer)), *own_specs):
        context.listener.stage("prepare", note)
    preflight.check_rows(recipe, rows, benchmarks)
    for name, task_card in rows.card["tasks"].items():
        if unused := task_card.get("columns", {}).get("unused"):
            context.listener.stage("prepare", f"{name}: columns that are not used: {', '.join(unused)}")
    for note in rows.mixture.notes:
        context.listener.stage("prepare", note)
    card = {
        **rows.card,
        "base": base_facts(inputs.source),
        "overlap": _contamination(context, rows, benchmarks),
        "tasks": _with_looks(context, rows),
        **_with_replay_counts(context, rows),
    }
    return PreparedRun(replace(rows, card=card), benchmarks, earlier), base


def _with_replay_counts(context: RunContext, rows: Prepared) -> dict[str, Any]:
    """The card's entry on the mixture, with what became of the base's own answers; nothing without self-replay."""
    if context.replayed is None:
        return {}
    mixture = rows.card["mixture"]
    lines = [*mixture.get("said", ()), context.replayed.sentence() + "."]
    return {"mixture": {**mixture, "self_replay": context.replayed.as_json(), "said": lines}}


def load_benchmarks(context: RunContext) -> tuple[Benchmark, ...]:
    """The watched benchmarks of a run; raises as `preflight.watched_benchmarks`."""
    return preflight.watched_benchmarks(context.recipe, context.data_dir)


def _contamination(context: RunContext, rows: Prepared, benchmarks: tuple[Benchmark, ...]) -> dict[str, Any]:
    """Benchmark items that stand in training; the listener hears of each benchmark that has some."""
    threshold = min((task.split.near_duplicate_threshold for task in context.recipe.tasks), default=1.0)
    contamination = find_contamination(benchmarks, [task.rows for task in rows.tasks], threshold=threshold)
    for name, entry in contamination.items():
        if entry["found"]:
            context.listener.stage(
                "prepare", f"{entry['found']} items of {name} stand in training: see the card"
            )
    return contamination


def _with_looks(context: RunContext, rows: Prepared) -> Mapping[str, Any]:
    """The cards of all tasks, with how many of their test rows a person looked at before."""
    cards = dict(rows.card["tasks"])
    for task in rows.tasks:
        if looks := test_set_access.earlier_looks(task.rows.test):
            cards[task.name] = {**cards[task.name], "looked": looks}
            context.listener.stage(
                "prepare", f"{looks['rows']} test rows of {task.name} were looked at before"
            )
    return cards
