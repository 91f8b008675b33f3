"""How often a search along a path of scales offers a candidate that is over its budget, by simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simulations.rates import SEED, EventRate
from tutelage.comparison import PairedScores
from tutelage.comparison.fixed_sequence import LossTest, loss_test, search
from tutelage.comparison.task_comparison import Estimate
from tutelage.core import seeds
from tutelage.metrics import ItemScores
from tutelage.metrics.implementation import ItemStatistics
from tutelage.metrics.scoring import score_statistics
from tutelage.metrics.stats.arrays import Floats

METRIC = "accuracy"
BUDGET = 2.0
LOSS = 8.0
"""Points lost at scale 1; at a scale s it is s squared times this, so that a budget of 2 points is met exactly at 0.5."""
FLIPS = 0.2
"""The share of items that change at scale 1."""
PATH = (0.25, 0.5, 0.75, 1.0)


def over_budget(n: int, repetitions: int, *, path: Sequence[float] = PATH) -> Iterator[EventRate]:
    """Simulate searches whose gain always grows with the scale.

    Args:
        n: items of the watched benchmark.
        repetitions: how many searches.
        path: the scales.

    Yields:
        How often a scale was chosen whose true loss is the budget or more, and how often none was.
    """
    chosen = [chosen_scale(n, path, repetition) for repetition in range(repetitions)]
    truth = f"{LOSS:g} points lost at scale 1, budget {BUDGET:g}"
    over = sum(scale is not None and LOSS * scale**2 >= BUDGET for scale in chosen)
    yield EventRate("over budget", truth, n, over, repetitions)
    yield EventRate("nothing offered", truth, n, sum(scale is None for scale in chosen), repetitions)


def chosen_scale(n: int, path: Sequence[float], repetition: int) -> float | None:
    """The scale that one search chooses."""
    position = seeds.generator(SEED, "search", n, repetition).random(n)

    def losses_at(scale: float, level: float) -> dict[str, LossTest]:
        scores = PairedScores(
            METRIC, {METRIC: _scored(_right(position, 0.0))}, {METRIC: _scored(_right(position, scale))}
        )
        return {"watched": loss_test("watched", scores, BUDGET, level=level)}

    return search(path, losses_at, lambda scale: Estimate(scale, scale, scale)).chosen


def _right(position: Floats, scale: float) -> Floats:
    """Whether each item is right at a scale: what flips at one scale flips at every larger one."""
    flips, loss = FLIPS * scale, LOSS / 100 * scale**2
    lost, gained = (flips + loss) / 2, (flips - loss) / 2
    return np.asarray((position < 0.5) & (position >= lost) | (position >= 1 - gained), np.float64)


def _scored(right: Floats) -> ItemScores:
    items = np.asarray(right, np.float64)
    return score_statistics(METRIC, ItemStatistics(np.arange(len(items)), items, items[:, None]), None)
