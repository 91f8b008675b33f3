"""The stage that diagnoses what a run forgot, knowledge or form: lost items rescored, then the re-alignment probe."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from typing import Any

from tutelage import report
from tutelage.benchmarks import Benchmark
from tutelage.comparison import lost_items
from tutelage.core.errors import InputError
from tutelage.core.provenance import timestamp
from tutelage.core.types import Request, Response
from tutelage.diagnosis import realignment, recovery, rescoring
from tutelage.engine.encoded_request import RequestEncoder
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.measure import ModelEvaluator
from tutelage.evaluation.preflight import fit_benchmark
from tutelage.job.context import RunContext
from tutelage.job.preparing import RunInputs
from tutelage.models import LoadedModel, ModelSource, load, load_tokenizer, resolve
from tutelage.prepare import template_clock
from tutelage.protection.prompts import bundled_rows
from tutelage.results import diagnosis_document
from tutelage.results.answer_cache import AnswerCache
from tutelage.results.folder_claim import claim
from tutelage.results.store import Item, Store

SCHEMA = 1
REALIGNED, CONTROL = "realigned", "realigned base"
"""The models that learned the rows, by their names in diagnosis.sqlite."""
Responses = Mapping[str, Response]
"""A model's responses by item id."""


def diagnose_finished(
    context: RunContext, inputs: RunInputs, results: Mapping[str, Any], *, control: bool = False
) -> bool:
    """Diagnose a finished run and write its page again, unless its diagnosis is there.

    Args:
        context: the run.
        inputs: what it read, unchanged since.
        results: its results.json.
        control: whether the base learns the same rows as well, to see what they change without a loss.

    Returns:
        Whether anything was computed.

    Raises:
        InputError: the base answers no everyday prompt to an end, or the model cannot be trained further.
        MachineError: the disk, the memory, or another process stood in the way.
    """
    if _written(context, results, control=control):
        return False
    tokenizer = load_tokenizer(
        inputs.source, chat_template=context.recipe.template_text(), clock=context.clock
    )
    benchmarks = tuple(
        fit_benchmark(benchmark, tokenizer, reserved=context.recipe.tune.virtual)
        for benchmark in inputs.benchmarks
    )
    with claim(context.folder, context.record), Store.open(context.folder.store, read_only=True) as store:
        diagnose(context, inputs.source, benchmarks, results, store, control=control)
        context.listener.stage("report")
        report.write(context.folder.path)
    return True


def diagnose(
    context: RunContext,
    source: ModelSource,
    benchmarks: Sequence[Benchmark],
    results: Mapping[str, Any],
    store: Store,
    *,
    control: bool = False,
) -> None:
    """Write diagnosis.json of a run whose folder is locked, unless it is there; a stopped diagnosis is taken up again.

    Args:
        context: the run.
        source: the base model's files.
        benchmarks: what was watched, as the model takes it.
        results: the content of results.json.
        store: the run's responses.
        control: as in `diagnose_finished`; errors too.
    """
    if _written(context, results, control=control):
        return
    context.listener.stage("diagnose")
    with (
        Store.open(context.folder.diagnosis_store) as answers,
        open_answer_cache(context.say("cache")) as cached,
    ):
        probe = _Probe(context, benchmarks, answers, cached)
        questions, base_answers, rows = probe.ask_base(source, store, control=control)
        tuned_answers = probe.ask_tuned(questions, rows)
        rescored = {
            name: rescoring.rescored(asked, base_answers[name], tuned_answers[name])
            for name, asked in questions.items()
        }
        recovered = _recoveries(store, answers, [benchmark.name for benchmark in benchmarks], control=control)
    content = {
        "schema": SCHEMA,
        "made_from": diagnosis_document.source_of(results),
        "settings": _settings(control=control),
        "rows": [{"id": row.id, "prompt": row.prompt, "completion": row.completion} for row in rows],
        "rescored": {name: each.as_json() for name, each in rescored.items() if each is not None},
        "realigned": {name: each.as_json() for name, each in recovered.items() if each is not None},
        "sentences": [
            *(each.sentence(name) for name, each in rescored.items() if each is not None),
            *(each.sentence(name, len(rows)) for name, each in recovered.items() if each is not None),
        ],
        "provenance": context.provenance(ended=timestamp()),
    }
    diagnosis_document.write(context.folder.path, content)
    shutil.rmtree(context.folder.realigned, ignore_errors=True)


def _settings(*, control: bool) -> dict[str, Any]:
    """What a diagnosis depends on beside the run."""
    answers = {"answers": rescoring.ANSWERS, "seed": rescoring.SEED}
    return {"rescoring": answers, "realignment": realignment.SETTINGS.as_json(), "control": control}


def _written(context: RunContext, results: Mapping[str, Any], *, control: bool) -> bool:
    """Whether diagnosis.json is of these results and settings; one with a control does where none is asked for."""
    try:
        diagnosis = diagnosis_document.read(context.folder.path)
    except InputError as error:
        context.listener.stage("diagnose", f"{error.where}: {error.problem}; it is made again")
        return False
    if diagnosis is None or not diagnosis_document.is_of(diagnosis, results):
        return False
    return diagnosis["settings"] in (
        [_settings(control=True)] + ([] if control else [_settings(control=False)])
    )


@dataclass(frozen=True, slots=True)
class _Probe:
    """Asks base, tuned and re-aligned models.

    Attributes:
        context: the run.
        benchmarks: what was watched, as the model takes it.
        answers: takes all responses.
        cached: answers of earlier evaluations; None without a cache.
    """

    context: RunContext
    benchmarks: Sequence[Benchmark]
    answers: Store
    cached: AnswerCache | None

    def ask_base(
        self, source: ModelSource, store: Store, *, control: bool
    ) -> tuple[dict[str, rescoring.Questions], dict[str, Responses], tuple[realignment.AlignmentRow, ...]]:
        """Make the questions, ask the base, and take the rows that are learned from its own answers."""
        template = self.context.recipe.template_text()
        base = load(source, chat_template=template, four_bit=self.context.four_bit, clock=self.context.clock)
        questions = {each.name: self._questions(each, store, base) for each in self.benchmarks}
        evaluator = self._evaluator("base", base)
        responses = self._ask_choices(evaluator, questions)
        rows = self._rows(evaluator, base)
        if control:
            self._realign(CONTROL, base, rows)
        return questions, responses, rows

    def ask_tuned(
        self, questions: Mapping[str, rescoring.Questions], rows: Sequence[realignment.AlignmentRow]
    ) -> dict[str, Responses]:
        """Ask the tuned model, then let a copy of it in memory learn the rows and ask that what is watched."""
        source = resolve(str(self.context.folder.model))
        tuned = load(source, chat_template=None, four_bit=self.context.four_bit, clock=self.context.clock)
        responses = self._ask_choices(self._evaluator("tuned", tuned), questions)
        self._realign(REALIGNED, tuned, rows)
        return responses

    def _evaluator(self, model: str, loaded: LoadedModel) -> ModelEvaluator:
        context = self.context
        return ModelEvaluator(
            self.answers,
            model,
            template_clock.with_instant(loaded.fingerprint, context.clock),
            context.provenance(),
            cache(lambda: keyed_engine(loaded)),
            context.listener,
            self.cached,
            stage_prefix=f"{model}: ",
        )

    def _questions(self, benchmark: Benchmark, store: Store, base: LoadedModel) -> rescoring.Questions:
        """A benchmark's lost items as choices that fit into the model's context."""
        lost = lost_items.of_benchmark(store, benchmark.name)
        ids = () if lost is None else lost.newly_wrong
        return rescoring.questions(benchmark, ids, partial(self._fit, base))

    def _fit(self, loaded: LoadedModel, requests: Sequence[Request]) -> list[bool]:
        """Whether each request fits into the context of the model, and of one with the virtual tokens of the tuning."""
        if loaded.context is None or loaded.encoder_decoder:
            return [True] * len(requests)
        encoder = RequestEncoder(loaded.tokenizer, encoder_decoder=False)
        room = loaded.context - self.context.recipe.tune.virtual
        return [length <= room for length in encoder.lengths(requests)]

    def _ask_choices(
        self, evaluator: ModelEvaluator, questions: Mapping[str, rescoring.Questions]
    ) -> dict[str, Responses]:
        """The model's responses to the lost items as choices, by benchmark."""
        responses: dict[str, Responses] = {}
        for benchmark in self.benchmarks:
            requests = questions[benchmark.name].requests
            asked = {item.id: item for item in benchmark.items}
            items = [
                Item(
                    request.id,
                    asked[request.id].part,
                    asked[request.id].prompt,
                    asked[request.id].references,
                    {"choices": list(request.choices)},
                )
                for request in requests
            ]
            evaluator.listener.stage(evaluator.stage_prefix + benchmark.name, "lost items as choices")
            responses[benchmark.name] = evaluator.answer("rescored", benchmark.name, items, requests)[1]
        return responses

    def _rows(self, evaluator: ModelEvaluator, base: LoadedModel) -> tuple[realignment.AlignmentRow, ...]:
        """The base's own answers that are learned."""
        evaluator.listener.stage(evaluator.stage_prefix + realignment.NAME, "everyday prompts")
        round_numbers = count(1)

        def ask(requests: Sequence[Request]) -> Responses:
            items = [Item(request.id, "", request.prompt, ()) for request in requests]
            return evaluator.answer("everyday", f"round {next(round_numbers)}", items, requests)[1]

        rounds = realignment.candidate_rounds(bundled_rows(), self.benchmarks)
        return realignment.alignment_rows(rounds, ask, partial(self._fit, base))

    def _realign(self, model: str, loaded: LoadedModel, rows: Sequence[realignment.AlignmentRow]) -> None:
        """Let a model in memory learn the rows, and ask it everything that is watched."""
        self.context.listener.stage(f"{model}: {realignment.NAME}", f"{len(rows)} rows")
        folder = self.context.folder.realigned / model.replace(" ", "-")
        learned = realignment.realign(loaded, rows, folder, on_event=self.context.listener.event)
        evaluator = self._evaluator(model, learned)
        for benchmark in self.benchmarks:
            evaluator.measure_benchmark(benchmark)


def _recoveries(
    store: Store, answers: Store, names: Sequence[str], *, control: bool
) -> dict[str, recovery.Recovery | None]:
    """What came back, by benchmark."""
    scored, probed = store.last_scored(), answers.last_scored()
    return {
        name: recovery.recovery(
            base=scored["base", "benchmark", name],
            tuned=scored["tuned", "benchmark", name],
            realigned=probed[REALIGNED, "benchmark", name],
            control=probed[CONTROL, "benchmark", name] if control else None,
        )
        for name in names
    }
