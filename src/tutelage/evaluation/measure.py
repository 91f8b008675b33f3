"""Asks one model a recipe's test rows and benchmarks, and scores its answers.

Answers are stored batch by batch, so a stopped evaluation resumes where it was; answers that the same model gave in another
evaluation come from the cache. Base and tuned model get the same prompts and the same decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tutelage.benchmarks import Benchmark, caveats, ties
from tutelage.benchmarks.right_answers import answer_log_probabilities
from tutelage.comparison import BEST_ON_VALIDATION, CutAnswers, PairedScores
from tutelage.core import hashing
from tutelage.core.provenance import provenance, timestamp
from tutelage.core.types import PLAIN_TEXT, Json, Prompted, Request, Response
from tutelage.engine import selfcheck
from tutelage.evaluation import wordings
from tutelage.evaluation.answer_cache_key import KeyedEngine, keyed_engine
from tutelage.evaluation.progress import Listener
from tutelage.metrics import ItemScores, Row, score_rows
from tutelage.metrics.answer_log_probability import AnswerLogProbabilities
from tutelage.models import LoadedModel
from tutelage.prepare import template_clock
from tutelage.prepare.encoding import Questions, TaskQuestions
from tutelage.results.answer_cache import AnswerCache
from tutelage.results.store import Evaluation, Item, Store
from tutelage.tokens.encoder import conversation_text
from tutelage.tokens.rendering import clock_of


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model's scores on one task or benchmark.

    Attributes:
        primary: the primary metric.
        scores: the scores over all items, by metric.
        parts: the scores of each part, by metric.
        groups: the names among `parts` that are groups of parts, or averages over them.
        headline: the name of the group that is usually quoted; "" for the whole.
        notes: facts to be reported beside the scores, such as parts that are missing.
        best_wording: of a task that is asked in all wordings, the one that scores best on the validation rows; "" without any.
        answer_log_probabilities: of the right answers of a benchmark of choices; None where answers have none.
        cut: how many answers of a task ended at max_new_tokens, and how many there are.
    """

    primary: str
    scores: Mapping[str, ItemScores]
    parts: Mapping[str, Mapping[str, ItemScores]]
    groups: tuple[str, ...] = ()
    headline: str = ""
    notes: Mapping[str, Json] = field(default_factory=dict)
    best_wording: str = ""
    answer_log_probabilities: AnswerLogProbabilities | None = None
    cut: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class ModelScores:
    """One model's scores on tasks and benchmarks, by name; `validation` has those on the tasks' validation rows where asked for."""

    tasks: Mapping[str, Measurement]
    benchmarks: Mapping[str, Measurement]
    validation: Mapping[str, Measurement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelEvaluator:
    """Evaluates one model.

    Attributes:
        store: where responses go.
        model: "base", "tuned" or a name.
        fingerprint: of weights and chat template.
        provenance: stored beside every response.
        load_engine: loads the model; called only when a request is not answered yet, and then each time: it should cache.
        listener: receives progress.
        cache: answers of earlier evaluations; None without a cache.
        stage_prefix: stands before the name in the stages that the listener receives.
        self_check: whether a few requests of each benchmark are answered again one at a time, without prefix sharing.
    """

    store: Store
    model: str
    fingerprint: str
    provenance: Mapping[str, Any]
    load_engine: Callable[[], KeyedEngine]
    listener: Listener
    cache: AnswerCache | None = None
    stage_prefix: str = ""
    self_check: bool = False

    def measure(self, tasks: Sequence[TaskQuestions], benchmarks: Sequence[Benchmark]) -> ModelScores:
        """Answer and score the test rows of all tasks, and all benchmarks."""
        return ModelScores(
            {task.name: self.measure_task(task) for task in tasks},
            {benchmark.name: self.measure_benchmark(benchmark) for benchmark in benchmarks},
        )

    def measure_validation(self, tasks: Sequence[TaskQuestions]) -> dict[str, Measurement]:
        """Answer and score the validation rows of all tasks that have some; these scores are not stored."""
        measured = {}
        for task in tasks:
            if task.validation:
                self.listener.stage(self.stage_prefix + task.name, "validation rows")
                scores = score_rows(task.task.metrics, self.answer_validation(task))
                measured[task.name] = Measurement(next(iter(scores)), scores, {})
        return measured

    def answer_validation(self, task: TaskQuestions) -> list[Row]:
        """Answer a task's validation questions; gives the rows to be scored, in their order."""
        return self._answer_task("validation", task, task.validation)[1]

    def measure_task(self, task: TaskQuestions) -> Measurement:
        """Answer and score a task's test rows; of a task that is asked in all wordings also wording by wording."""
        self.listener.stage(self.stage_prefix + task.name)
        evaluation, rows = self._answer_task("task", task, task.test)
        scores = score_rows(task.task.metrics, rows)
        primary = next(iter(scores))
        evaluation.write_scores("", scores, primary=primary)
        cut = evaluation.cut_answers()
        if not task.in_all_wordings:
            return Measurement(primary, scores, {}, cut=cut)
        parts, best = wordings.by_wording(task.task.metrics, task.test, rows), ""
        if task.validation:
            self.listener.stage(self.stage_prefix + task.name, "validation rows, for the best wording")
            validation_rows = self.answer_validation(task)
            best = wordings.best(
                wordings.by_wording(task.task.metrics, task.validation, validation_rows), primary
            )
        for wording, part_scores in parts.items():
            evaluation.write_scores(wording, part_scores, primary=primary)
        if best:
            parts[BEST_ON_VALIDATION] = parts[best]
            # Two models may have different best wordings: their answers are paired by row, as items of the first wording.
            ids = wordings.ids_of_first(task.test)
            evaluation.write_scores(BEST_ON_VALIDATION, parts[best], primary=primary, ids=ids)
        return Measurement(primary, scores, parts, best_wording=best, cut=cut)

    def _answer_task(
        self, suite: str, task: TaskQuestions, questions: Questions
    ) -> tuple[Evaluation, list[Row]]:
        """Answer a task's questions, and make the rows that are scored."""
        items = items_of(task, questions)
        evaluation, responses = self.answer(suite, task.name, items, [request for _, request in questions])
        rows = [
            Row(
                responses[request.id].text,
                row.references,
                _fields(row, responses[request.id]),
                task=task.name,
                cluster=row.id if task.in_all_wordings else None,
            )
            for row, request in questions
        ]
        return evaluation, rows

    def measure_benchmark(self, benchmark: Benchmark) -> Measurement:
        """Answer and score a benchmark, as a whole and by part."""
        self.listener.stage(self.stage_prefix + benchmark.name)
        requests = benchmark.requests()
        evaluation, responses = self._answer_benchmark(benchmark, requests)
        result = benchmark.score(responses)
        evaluation.write_scores("", result.scores, primary=result.primary)
        for name, scores in result.groups.items():
            evaluation.write_scores(name, scores, primary=result.primary, ids=benchmark.members(name))
        for part, scores in result.parts.items():
            evaluation.write_scores(part, scores, primary=result.primary)
        notes = {
            **caveats.caveats(benchmark),
            **caveats.extraction_doubts(benchmark, responses),
            **ties.decided_by_order(benchmark, responses),
        }
        if self.self_check:
            self.listener.stage(self.stage_prefix + benchmark.name, "self-check")
            notes["self_check"] = selfcheck.check(self.load_engine().engine, requests, responses).as_json()
        parts = {**result.groups, **result.parts}
        return Measurement(
            result.primary,
            result.scores,
            parts,
            tuple(result.groups),
            result.headline,
            notes,
            answer_log_probabilities=answer_log_probabilities(benchmark, responses),
        )

    def answer_benchmark(self, benchmark: Benchmark) -> Mapping[str, Response]:
        """The responses to a benchmark's items by their ids, not scored."""
        self.listener.stage(self.stage_prefix + benchmark.name)
        return self._answer_benchmark(benchmark, benchmark.requests())[1]

    def _answer_benchmark(
        self, benchmark: Benchmark, requests: Sequence[Request]
    ) -> tuple[Evaluation, dict[str, Response]]:
        items = [
            Item(item.id, item.part, item.prompt, item.references, caveats.item_details(item))
            for item in benchmark.items
        ]
        return self.answer("benchmark", benchmark.name, items, requests)

    def answer(
        self, suite: str, name: str, items: Sequence[Item], requests: Sequence[Request]
    ) -> tuple[Evaluation, dict[str, Response]]:
        """The responses to all requests: from the store, then from the cache, then from the model.

        Args:
            suite: what kind of questions they are, as in `Store.evaluation`.
            name: of the task or benchmark.
            items: what a person needs to read the responses.
            requests: one for each item, in the same order.

        Returns:
            The stored evaluation, and the responses by item id.
        """
        names = {"model": self.model, "suite": suite, "name": name}
        fingerprint = hashing.of_json(
            [self.fingerprint, [decoding_key(request) for request in requests], [item.key for item in items]]
        )
        evaluation = self.store.evaluation(**names, fingerprint=fingerprint, provenance=self.provenance)
        evaluation.declare(items)
        answered = evaluation.responses().keys()
        missing = [request for request in requests if request.id not in answered]
        if not missing:
            self.listener.advance(len(requests), len(requests))
            return evaluation, evaluation.responses()
        engine = self.load_engine()
        key = engine.key_for(missing) if self.cache is not None else None
        if cached := self.cache.find(key, missing) if self.cache is not None and key is not None else []:
            provenance = {**self.provenance, "answers": "cache"}
            self.store.evaluation(**names, fingerprint=fingerprint, provenance=provenance).add(cached)
            self.listener.stage(
                self.stage_prefix + name, f"{len(cached)} of {len(requests)} answers from the cache"
            )
            cached_ids = {response.id for response in cached}
            missing = [request for request in missing if request.id not in cached_ids]
        self._ask(engine, key, evaluation, missing, len(requests))
        return evaluation, evaluation.responses()

    def _ask(
        self,
        engine: KeyedEngine,
        key: str | None,
        evaluation: Evaluation,
        requests: Sequence[Request],
        total: int,
    ) -> None:
        """Ask the model; progress is reported after responses are stored."""
        by_id = {request.id: request for request in requests}
        done = total - len(requests)
        self.listener.advance(done, total)

        def store(responses: list[Response]) -> None:
            nonlocal done
            evaluation.add(responses)
            if self.cache is not None and key is not None:
                self.cache.add(key, [(by_id[response.id], response) for response in responses])
            done += len(responses)
            self.listener.advance(done, total)

        if requests:
            engine.engine.answer(requests, on_done=store)


def _fields(row: Prompted, response: Response) -> Mapping[str, Json]:
    """What metrics read beside the answer: the row's fields, and of plain text its likelihood in nats and its tokens."""
    if row.group != PLAIN_TEXT:
        return row.fields
    return {**row.fields, "logprob": response.logprobs[0], "tokens": response.lengths[0]}


def items_of(task: TaskQuestions, questions: Questions) -> list[Item]:
    """A task's questions as items of the store."""
    return [
        Item(
            request.id,
            wordings.wording_of(row) if task.in_all_wordings else "",
            conversation_text(request.prompt, request.history),
            row.references,
            row.fields,
        )
        for row, request in questions
    ]


def evaluator_of(
    loaded: LoadedModel,
    store: Store,
    cache: AnswerCache | None,
    listener: Listener,
    *,
    stage_prefix: str = "",
    self_check: bool = False,
) -> ModelEvaluator:
    """The evaluator of a model whose weights are loaded."""
    engine = keyed_engine(loaded)
    clock = clock_of(loaded.tokenizer)
    return ModelEvaluator(
        store,
        loaded.name,
        template_clock.with_instant(loaded.fingerprint, clock),
        {**provenance(started=timestamp()), **template_clock.card_entry(clock)},
        lambda: engine,
        listener,
        cache,
        stage_prefix=stage_prefix,
        self_check=self_check,
    )


def pair_scores(base: Mapping[str, Measurement], tuned: Mapping[str, Measurement]) -> dict[str, PairedScores]:
    """The measurements of two models on the same tasks or benchmarks, side by side."""
    return {
        name: PairedScores(
            primary=measurement.primary,
            base=measurement.scores,
            tuned=tuned[name].scores,
            parts={
                part: PairedScores(primary=measurement.primary, base=scores, tuned=tuned[name].parts[part])
                for part, scores in measurement.parts.items()
            },
            answer_log_probabilities=_both(
                measurement.answer_log_probabilities, tuned[name].answer_log_probabilities
            ),
            cut=CutAnswers(measurement.cut[0], tuned[name].cut[0], measurement.cut[1]),
        )
        for name, measurement in base.items()
    }


def _both(
    base: AnswerLogProbabilities | None, tuned: AnswerLogProbabilities | None
) -> tuple[AnswerLogProbabilities, AnswerLogProbabilities] | None:
    return None if base is None or tuned is None else (base, tuned)


def decoding_key(request: Request) -> list[Any]:
    """What of a request decides its response, as part of the fingerprint."""
    return [
        request.id,
        request.kind,
        hashing.of_text(
            request.prompt if not request.history else conversation_text(request.prompt, request.history)
        ),
        list(request.choices),
        request.max_new_tokens,
        list(request.stop),
        *([request.form] if request.form != "chat" else []),
        *([request.continuation] if request.continuation else []),
        *([asdict(request.sampling)] if request.sampling else []),
    ]
