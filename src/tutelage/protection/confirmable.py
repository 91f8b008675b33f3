"""What a watched benchmark can show about forgetting, said before the tuning: budgets that its items can confirm, and chance."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tutelage.benchmarks import Benchmark
from tutelage.comparison import wording
from tutelage.comparison.budget_words import MIN_ITEMS, Z_NEEDED
from tutelage.evaluation.measure import Measurement

FLIPS = 0.1
"""The share of items that are assumed to change from right to wrong or back."""


def items_for(budget: float) -> int:
    """How many items show with 80 % power that less than `budget` points are lost, if nothing is and a tenth of them changes."""
    return math.ceil(max(FLIPS * (100 * Z_NEEDED / budget) ** 2, MIN_ITEMS / budget))


def smallest_budget(items: int) -> float:
    """The smallest budget in points that so many items can confirm, as in `items_for`."""
    return max(100 * Z_NEEDED * math.sqrt(FLIPS / items), MIN_ITEMS / items)


def notes(benchmark: Benchmark, base: Measurement, budget: float | None) -> Iterator[str]:
    """What a benchmark's items cannot show, in sentences.

    Args:
        benchmark: the benchmark with the items that are asked.
        base: the base's scores on it.
        budget: the loss in points that the recipe allows; None where it states none.
    """
    if wording.budget_points(base.primary) is None:
        return
    scores = base.scores[base.primary]
    items = len(scores.rows) if scores.clusters is None else int(scores.clusters.max()) + 1
    if budget is not None and budget > 0 and items < (needed := items_for(budget)):
        whole = sum(benchmark.sizes.values())
        advice = "watch a benchmark with more items beside it"
        if whole >= needed and benchmark.sizes:
            advice = f"limit: {math.ceil(needed / len(benchmark.sizes))} would do"
        yield (
            f"a budget of {budget:g} points needs about {needed:,} items if a tenth of them change, and {items:,} are watched: "
            f"the smallest that they can confirm is about {smallest_budget(items):.1f}; {advice}"
        )
    choices = [len(item.choices) for item in benchmark.items if item.choices]
    if len(choices) == len(benchmark.items) and choices:
        chance = sum(1 / count for count in choices) / len(choices)
        if scores.score.low <= chance:
            yield (
                f"the base is not clearly above chance ({100 * scores.score.value:.1f} of 100, where guessing gives {100 * chance:.1f}): "
                "what it cannot do it cannot forget; general-probe, core or mmlu:cloze show more of a small model"
            )
