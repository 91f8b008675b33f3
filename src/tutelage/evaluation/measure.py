"""Ask one model everything that a run measures: the tasks' test rows and the watched benchmarks.

Responses are kept one batch at a time; what was answered before a stop is not asked again, nor is what the same model was
asked in another evaluation. Base and tuned get the same prompts and the same decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.benchmarks import Benchmark, caveats
from tutelage.comparison import PairedScores
from tutelage.core import hashing
from tutelage.core.types import Json, Request, Response
from tutelage.engine import selfcheck
from tutelage.evaluation.answer_cache_key import Voice
from tutelage.evaluation.progress import Listener
from tutelage.metrics import ItemScores, Row, score_rows
from tutelage.prepare.preparation import PreparedTask
from tutelage.results.answer_cache import AnswerCache
from tutelage.results.store import Evaluation, Item, Store
from tutelage.tokens.encoder import plain

Wake = Callable[[], Voice]
FROM_CACHE = "cache"
"""In the provenance of responses, under `answers`: they were given to an earlier evaluation."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model's scores on one task or benchmark: of the whole and of its parts, by metric.

    `groups` are the names among `parts` that are groups of parts or averages over them, `headline` the one that is usually
    quoted ("" for the whole). `said` is what else is to be told of it, such as parts that are not here.
    """

    primary: str
    scores: Mapping[str, ItemScores]
    parts: Mapping[str, Mapping[str, ItemScores]]
    groups: tuple[str, ...] = ()
    headline: str = ""
    said: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asker:
    """One model to be asked.

    Attributes:
        store: where responses go.
        model: "base" or "tuned", or a label.
        fingerprint: of weights and chat template.
        provenance: beside every response.
        wake: gives the model's voice; called only when something is left to ask.
        listen: told how far it is.
        answers: those of before, where they are kept.
        stages: what stands before the name in the stages that `listen` is told.
        self_check: whether a few questions of each benchmark are asked again, one by one and the plain way.
    """

    store: Store
    model: str
    fingerprint: str
    provenance: Mapping[str, Any]
    wake: Wake
    listen: Listener
    answers: AnswerCache | None = None
    stages: str = ""
    self_check: bool = False

    def task(self, task: PreparedTask) -> Measurement:
        """Answer and score a task's test rows."""
        items = [
            Item(r.id, "", plain(q.prompt, q.history), r.references, r.fields) for r, q in task.questions
        ]
        evaluation, responses = self._ask("task", task.name, items, [q for _, q in task.questions])
        rows = [Row(responses[item.id].text, item.references, item.fields, task=task.name) for item in items]
        scored = score_rows(task.metrics, rows)
        primary = next(iter(scored))
        evaluation.write_scores("", scored, primary=primary)
        return Measurement(primary, scored, {})

    def benchmark(self, benchmark: Benchmark) -> Measurement:
        """Answer and score a benchmark, whole and by part."""
        items = [Item(i.id, i.part, i.prompt, i.references, caveats.fields(i)) for i in benchmark.items]
        evaluation, responses = self._ask("benchmark", benchmark.name, items, benchmark.requests())
        found = benchmark.score(responses)
        evaluation.write_scores("", found.scores, primary=found.primary)
        for name, scored in found.groups.items():
            evaluation.write_scores(name, scored, primary=found.primary, ids=benchmark.members(name))
        for part, scored in found.parts.items():
            evaluation.write_scores(part, scored, primary=found.primary)
        parts = {**found.groups, **found.parts}
        groups, said = (
            tuple(found.groups),
            {**caveats.about(benchmark), **caveats.doubts(benchmark, responses)},
        )
        if self.self_check:
            self.listen.stage(self.stages + benchmark.name, "self-check")
            checked = selfcheck.check(self.wake().engine, benchmark.requests(), responses)
            said["self_check"] = checked.as_json()
        return Measurement(found.primary, found.scores, parts, groups, found.headline, said)

    def _ask(
        self, suite: str, name: str, items: Sequence[Item], requests: Sequence[Request]
    ) -> tuple[Evaluation, dict[str, Response]]:
        names = {"model": self.model, "suite": suite, "name": name}
        fingerprint = hashing.of_json(
            [self.fingerprint, [_decoding(r) for r in requests], [item.key for item in items]]
        )
        evaluation = self.store.evaluation(**names, fingerprint=fingerprint, provenance=self.provenance)
        evaluation.declare(items)
        known = evaluation.responses().keys()
        missing = [r for r in requests if r.id not in known]
        if not missing:
            self.listen.advance(len(requests), len(requests))
            return evaluation, evaluation.responses()
        voice = self.wake()
        content = voice.content_for(missing) if self.answers is not None else None
        found = self._remembered(content, missing)
        if found:
            said = {**self.provenance, "answers": FROM_CACHE}
            self.store.evaluation(**names, fingerprint=fingerprint, provenance=said).add(found)
            self.listen.stage(self.stages + name, f"{len(found)} of {len(requests)} answers from the cache")
            there = {response.id for response in found}
            missing = [r for r in missing if r.id not in there]
        self._answer(voice, content, evaluation, missing, len(requests))
        return evaluation, evaluation.responses()

    def _remembered(self, content: str | None, requests: Sequence[Request]) -> list[Response]:
        """What the same model answered before to the same requests."""
        if self.answers is None or content is None:
            return []
        return self.answers.find(content, requests)

    def _answer(
        self,
        voice: Voice,
        content: str | None,
        evaluation: Evaluation,
        requests: Sequence[Request],
        total: int,
    ) -> None:
        """Ask the model; what it has answered is told when it is kept."""
        asked = {request.id: request for request in requests}
        done = total - len(requests)
        self.listen.advance(done, total)

        def keep(responses: list[Response]) -> None:
            nonlocal done
            evaluation.add(responses)
            if self.answers is not None and content is not None:
                self.answers.add(content, [(asked[r.id], r) for r in responses])
            done += len(responses)
            self.listen.advance(done, total)

        if requests:
            voice.engine.answer(requests, on_done=keep)


def pairs(before: Mapping[str, Measurement], after: Mapping[str, Measurement]) -> dict[str, PairedScores]:
    """Two models' measurements of the same things, side by side."""
    return {
        name: PairedScores(
            primary=base.primary,
            base=base.scores,
            tuned=after[name].scores,
            parts={
                part: PairedScores(primary=base.primary, base=scores, tuned=after[name].parts[part])
                for part, scores in base.parts.items()
            },
        )
        for name, base in before.items()
    }


def _decoding(request: Request) -> list[Any]:
    return [
        request.id,
        request.kind,
        hashing.of_text(request.prompt if not request.history else plain(request.prompt, request.history)),
        list(request.choices),
        request.max_new_tokens,
        list(request.stop),
        *([request.form] if request.form != "chat" else []),
    ]
