"""The one runner: a benchmark's items to requests, and a model's responses to scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.spec import PartSpec, Spec
from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.nouns import Request, Response
from tutelage.metrics import Row, Scored, score_rows


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """A model's scores on a benchmark.

    Attributes:
        primary: the metric that a verdict looks at.
        scores: over all items, by metric; every item weighs the same.
        parts: the same for each part.
    """

    primary: str
    scores: Mapping[str, Scored]
    parts: Mapping[str, Mapping[str, Scored]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark, read and checked.

    Attributes:
        name: its name; development items have `:development` behind it.
        spec: what its parts ask.
        items: its questions, in the file's order.
    """

    name: str
    spec: Spec
    items: tuple[BenchmarkItem, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that have items, in the spec's order."""
        here = {item.part for item in self.items}
        return tuple(part for part in self.spec.parts if part in here)

    @property
    def fingerprint(self) -> str:
        """The sha256 of all that scores depend on: prompts, choices, right answers, how answers are read, metrics."""
        asked = [
            [i.id, i.part, i.prompt, list(i.choices), list(i.references), i.pattern, self._reading(i.part)]
            for i in self.items
        ]
        return hashing.of_json([self.name, self.spec.version, list(self.spec.metrics), asked])

    def requests(self) -> list[Request]:
        """The questions for an engine, in the items' order."""
        return [item.request(self.spec.parts[item.part]) for item in self.items]

    def score(self, responses: Mapping[str, Response]) -> BenchmarkScores:
        """Score a model's responses.

        Args:
            responses: by item id; those of other items are not looked at.

        Raises:
            InputError: an item has no response, or one that does not answer it. It never counts as wrong.
        """
        missing = [item.id for item in self.items if item.id not in responses]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(self.items)} items of {self.name} have no response",
                found="none for " + ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else ""),
                expected="one response for every item",
                fix="evaluate again: what was answered is kept, the rest is asked",
            )
        rows = [self._row(item, responses[item.id]) for item in self.items]
        scores = score_rows(self.spec.metrics, rows)
        parts = {
            part: score_rows(self.spec.metrics, [row for row in rows if row.task == part])
            for part in self.parts
        }
        return BenchmarkScores(next(iter(scores)), scores, parts)

    def _row(self, item: BenchmarkItem, response: Response) -> Row:
        part = self.spec.parts[item.part]
        if part.kind == "choose":
            return Row(_chosen(item, part, response), item.references, task=item.part)
        answer = part.rule(response.text)
        references = tuple(part.rule(reference) for reference in item.references)
        if item.accepts is not None:
            # What follows the pattern is right whatever it says; what does not equals no reference, as those follow it.
            # No answer is wrong even where the pattern would take it.
            answer = references[0] if answer and item.accepts.fullmatch(answer) else answer
        return Row(answer, references, task=item.part)

    def _reading(self, part: str) -> Sequence[str | int | bool]:
        own = self.spec.parts[part]
        if own.kind == "choose":
            return [own.kind, own.normalise]
        rule = own.rule
        return [own.kind, own.max_new_tokens, *own.stop, rule.pattern.pattern, rule.take, rule.fold]


def _chosen(item: BenchmarkItem, part: PartSpec, response: Response) -> str:
    """The choice of the largest log-probability, as the part normalises it; the first of equals."""
    if len(response.logprobs) != len(item.choices) or any(map(math.isnan, response.logprobs)):
        raise InputError(
            f"the response to {item.id} does not fit its choices",
            found=f"log-probabilities: {', '.join(f'{value:.3g}' for value in response.logprobs) or 'none'}",
            expected=f"{len(item.choices)} numbers, one a choice",
            fix="remove the evaluation's folder and evaluate again",
        )
    lengths = [len(choice) if part.normalise == "characters" else 1 for choice in item.choices]
    values = [value / length for value, length in zip(response.logprobs, lengths, strict=True)]
    return item.choices[max(range(len(values)), key=values.__getitem__)]
