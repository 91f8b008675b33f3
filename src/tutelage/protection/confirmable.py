"""What a watched benchmark can show about forgetting, said before the tuning: budgets that its items can confirm, and chance."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tutelage.benchmarks import Benchmark
from tutelage.comparison import wording
from tutelage.comparison.budgets import Budget, Nats
from tutelage.comparison.items_needed import MIN_ITEMS, Z_NEEDED
from tutelage.evaluation.measure import Measurement
from tutelage.metrics import answer_log_probability
from tutelage.metrics.answer_log_probability import AnswerLogProbabilities

FLIPS = 0.1
"""The share of items that are assumed to change from right to wrong or back."""
SPREAD = 0.5
"""The standard deviation of log-probabilities' changes that is assumed, as a share of that of the base's log-probabilities."""


def items_for(budget: float) -> int:
    """How many items show with 80 % power that less than `budget` points are lost, if nothing is and a tenth of them changes."""
    return math.ceil(max(FLIPS * (100 * Z_NEEDED / budget) ** 2, MIN_ITEMS / budget))


def smallest_budget(items: int) -> float:
    """The smallest budget in points that so many items can confirm, as in `items_for`."""
    return max(100 * Z_NEEDED * math.sqrt(FLIPS / items), MIN_ITEMS / items)


def items_for_nats(budget: float, base: AnswerLogProbabilities) -> int:
    """How many items show with 80 % power that less than `budget` nats are lost, if nothing is and changes spread as assumed."""
    error = Z_NEEDED * SPREAD * float(base.items.std(ddof=1)) / budget
    return math.ceil(max(error**2, answer_log_probability.MIN_ITEMS))


def notes(benchmark: Benchmark, base: Measurement, budget: Budget | None) -> Iterator[str]:
    """What a benchmark's items cannot show, in sentences.

    Args:
        benchmark: the benchmark with the items that are asked.
        base: the base's scores on it.
        budget: the loss that the recipe allows; None where it states none.
    """
    if isinstance(budget, Nats):
        yield from _notes_on_nats(benchmark, base, budget.amount)
    if wording.budget_points(base.primary) is None:
        return
    scores = base.scores[base.primary]
    items = len(scores.rows) if scores.clusters is None else int(scores.clusters.max()) + 1
    if isinstance(budget, float | int) and budget > 0 and items < (needed := items_for(budget)):
        yield (
            f"a budget of {budget:g} points needs about {needed:,} items if a tenth of them change, and {items:,} are watched: "
            f"the smallest that they can confirm is about {smallest_budget(items):.1f}; {_advice(benchmark, needed)}"
        )
    choices = [len(item.choices) for item in benchmark.items if item.choices]
    if len(choices) == len(benchmark.items) and choices:
        chance = sum(1 / count for count in choices) / len(choices)
        if scores.score.low <= chance:
            yield (
                f"the base is not clearly above chance ({100 * scores.score.value:.1f} of 100, where guessing gives {100 * chance:.1f}): "
                "what it cannot do it cannot forget; general-probe, core or mmlu:cloze show more of a small model"
            )


def _notes_on_nats(benchmark: Benchmark, base: Measurement, budget: float) -> Iterator[str]:
    """Whether the items can confirm a budget in nats, by the spread of the base's log-probabilities."""
    measured = base.answer_log_probabilities
    if measured is None or len(measured.items) < 2:
        return
    items = len(measured.items) if measured.clusters is None else int(measured.clusters.max()) + 1
    if items < (needed := items_for_nats(budget, measured)):
        spread = float(measured.items.std(ddof=1))
        smallest = Z_NEEDED * SPREAD * spread / math.sqrt(items)
        smallest_words = (
            f"the smallest that they can confirm is about {smallest:.3f}"
            if items >= answer_log_probability.MIN_ITEMS
            else f"fewer than {answer_log_probability.MIN_ITEMS} confirm none"
        )
        yield (
            f"a budget of {budget:g} nats needs about {needed:,} items if changes spread half as much as the base's log-probabilities "
            f"({spread:.2f} nats), and {items:,} are watched: {smallest_words}; {_advice(benchmark, needed)}"
        )


def _advice(benchmark: Benchmark, needed: int) -> str:
    """How more items can be watched."""
    if sum(benchmark.sizes.values()) >= needed and benchmark.sizes:
        return f"limit: {math.ceil(needed / len(benchmark.sizes))} would do"
    return "watch a benchmark with more items beside it"
