"""Lost items asked again without a form to keep: is the right answer still the likeliest of several?

An item that was answered in words is asked as a choice between its right answer and right answers of other items of its part. A model
that ranks the right one first knows it, whatever it writes. Log-probabilities are in nats per token of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tutelage.benchmarks import Benchmark
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.core import seeds
from tutelage.core.types import Request, Response
from tutelage.metrics.answers import normalise_squad
from tutelage.metrics.stats.intervals import t_quantile, wilson_interval

ANSWERS = 8
"""Between so many answers each item chooses, the right one included; fewer where its part has fewer."""
SEED = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with both ends of its 95 % interval; the ends are None where one item alone shows no spread."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Questions:
    """A benchmark's lost items as choices.

    Attributes:
        requests: one an item; the first choice is the right answer.
        left_out: how many lost items are not asked: they chose already, have no right answer in words or no other one to be compared
            with, or do not fit into the context.
    """

    requests: tuple[Request, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Rescored:
    """How base and tuned model rank the right answers of lost items.

    Attributes:
        items: how many were asked.
        left_out: how many lost items were not, as in `Questions`.
        base_first: how many right answers the base ranks first.
        tuned_first: how many the tuned model ranks first.
        kept: the ids of these.
        base_share, tuned_share: the same as shares, with Wilson's intervals.
        chance: the share that guessing gives.
        change: the mean change of the right answer's log-probability from base to tuned, in nats per token.
    """

    items: int
    left_out: int
    base_first: int
    tuned_first: int
    kept: tuple[str, ...]
    base_share: Interval
    tuned_share: Interval
    chance: float
    change: Interval

    def as_json(self) -> dict[str, Any]:
        """As in diagnosis.json."""
        return asdict(self) | {"kept": list(self.kept)}

    def sentence(self, name: str) -> str:
        """What the ranks say, for people."""
        first = (
            f"{name}: of {self.items} lost items that were answered in words the tuned model still ranks the right answer first in {self.tuned_first} "
            f"(the base in {self.base_first}, guessing would in about {self.chance * self.items:.0f})"
        )
        low = self.tuned_share.low or 0.0
        if low <= self.chance:
            return (
                f"{first}: that is not clearly more than guessing, so form alone does not explain the loss."
            )
        if low > 0.5:
            return f"{first}: the knowledge is there; they were lost by form, or by chance."
        return f"{first}: of these the knowledge is there; they were lost by form, or by chance."


def questions(
    benchmark: Benchmark, lost: Sequence[str], fits: Callable[[Sequence[Request]], Sequence[bool]]
) -> Questions:
    """Make the choices for a benchmark's lost items; the same items give the same choices.

    Args:
        benchmark: all of its items.
        lost: the ids of the items that turned wrong.
        fits: says of each request whether it fits into the model's context.
    """
    by_part: dict[str, list[BenchmarkItem]] = {}
    for item in benchmark.items:
        by_part.setdefault(item.part, []).append(item)
    ids = set(lost)
    requests = [
        request
        for item in benchmark.items
        if item.id in ids and (request := _request(benchmark, item, by_part[item.part])) is not None
    ]
    fitting = [request for request, fit in zip(requests, fits(requests), strict=True) if fit]
    return Questions(tuple(fitting), len(ids) - len(fitting))


def _request(benchmark: Benchmark, item: BenchmarkItem, part: Sequence[BenchmarkItem]) -> Request | None:
    """The item as a choice; None where it chose already, or there is nothing to choose between."""
    if benchmark.spec.parts[item.part].kind == "choose" or not item.references:
        return None
    rivals = rival_answers(benchmark, item, part)
    if not rivals or not item.references[0].strip():
        return None
    # A text goes on with its answer; in a conversation the answer is a turn.
    gap = item.join or " " if item.form == "text" and not item.full_prompt[-1:].isspace() else item.join
    return Request(
        item.id,
        "choose",
        item.full_prompt,
        choices=tuple(gap + answer for answer in (item.references[0], *rivals)),
        history=item.exemplar_turns,
        form=item.form,
    )


def rival_answers(
    benchmark: Benchmark, item: BenchmarkItem, part: Sequence[BenchmarkItem], *, count: int = ANSWERS - 1
) -> list[str]:
    """Right answers of other items of the part that are none to this one, drawn with a fixed seed, each once.

    Args:
        benchmark: reads answers as it scores them.
        item: the item that they are drawn for.
        part: the items of its part.
        count: how many, fewer where there are no more.
    """
    taken = {_normal(reference) for reference in item.references}
    order = seeds.generator(SEED, "rescored", benchmark.name, item.id).permutation(len(part)).tolist()
    rivals: list[str] = []
    for index in order:
        answer = next(iter(part[index].references), "")
        if len(rivals) == count:
            break
        if not answer.strip() or _normal(answer) in taken or _is_right(benchmark, item, answer):
            continue
        taken.add(_normal(answer))
        rivals.append(answer)
    return rivals


def rescored(
    asked: Questions, base: Mapping[str, Response], tuned: Mapping[str, Response]
) -> Rescored | None:
    """Compare how both models rank the right answers; None where no item could be asked.

    Args:
        asked: the questions.
        base: the base's responses to them, by item id.
        tuned: those of the tuned model.
    """
    if not asked.requests:
        return None
    ids = [request.id for request in asked.requests]
    first = [[ranks_first(side[id_]) for id_ in ids] for side in (base, tuned)]
    changes = [per_token(tuned[id_])[0] - per_token(base[id_])[0] for id_ in ids]
    base_first, tuned_first = map(sum, first)
    return Rescored(
        items=len(ids),
        left_out=asked.left_out,
        base_first=base_first,
        tuned_first=tuned_first,
        kept=tuple(id_ for id_, is_first in zip(ids, first[1], strict=True) if is_first),
        base_share=_share(base_first, len(ids)),
        tuned_share=_share(tuned_first, len(ids)),
        chance=sum(1 / len(request.choices) for request in asked.requests) / len(ids),
        change=mean_with_interval(changes),
    )


def per_token(response: Response) -> list[float]:
    """The log-probability of each choice in nats per token."""
    return [
        logprob / max(1, length) for logprob, length in zip(response.logprobs, response.lengths, strict=True)
    ]


def ranks_first(response: Response) -> bool:
    """Whether the first choice, the right one, is likelier per token than every other; a tie is no rank."""
    right, *others = per_token(response)
    return right > max(others)


def mean_with_interval(values: Sequence[float]) -> Interval:
    """The mean of independent values with Student's interval."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Interval(mean, None, None)
    half = t_quantile(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def _share(count: int, n: int) -> Interval:
    return Interval(count / n, *wilson_interval(count, n))


def _is_right(benchmark: Benchmark, item: BenchmarkItem, answer: str) -> bool:
    """Whether the benchmark would take an answer for a right one, by its pattern or in the form that it compares."""
    row = benchmark.row(item, Response(item.id, answer, "stop", 1))
    return row.prediction.strip() in {reference.strip() for reference in row.references}


def _normal(text: str) -> str:
    """The form in which two answers count as the same; one that SQuAD's form leaves nothing of stays as it is."""
    return normalise_squad(text) or " ".join(text.casefold().split())
