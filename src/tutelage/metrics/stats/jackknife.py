"""The jackknife: how much a metric changes when one item is left out, and the variance that follows.

B. Efron, C. Stein, "The jackknife estimate of variance", 1981. A row may stand for many equal items, or for a part of one
(a pseudo-item). A function of sums costs one evaluation a row. Of any other function with many rows, random groups of rows
are left out instead (J. Shao, D. Tu, The Jackknife and Bootstrap, 1995, section 5.1.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tutelage.metrics.stats.arrays import Floats, Ints, blocks
from tutelage.metrics.stats.estimators import Estimator, SumEstimator

GROUPS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class JackknifeDerivatives:
    """A metric's value, and its derivative by the number of items of each unit.

    Attributes:
        value: the metric on all items.
        by_unit: float64 of shape (units,), one for each row or group of rows.
    """

    value: float
    by_unit: Floats


class Jackknife:
    """Which rows are left out together, the same for several metrics.

    Args:
        counts: how many items each row stands for, float64 of shape (m,), above 0.
        rng: draws the groups where there are many rows.
        only_sums: whether every metric is a `SumEstimator`, so that no groups are needed.
    """

    def __init__(self, counts: Floats, rng: np.random.Generator, *, only_sums: bool) -> None:
        self.counts = counts
        self.groups: Ints | None = None
        if not only_sums and len(counts) > GROUPS:
            self.groups = rng.permutation(np.arange(len(counts)) % GROUPS)
        self.weights: Floats = counts if self.groups is None else np.ones(GROUPS)

    def derivatives(self, estimator: Estimator) -> JackknifeDerivatives:
        """Compute a metric with each unit left out; NaN where that leaves no value."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(estimator(self.counts[None])[0])
            if self.groups is not None:
                return JackknifeDerivatives(value, value - self._without(estimator, self.groups, self.counts))
            removed = np.minimum(self.counts, 1.0)  # a pseudo-item weighs less than one and goes as a whole
            if isinstance(estimator, SumEstimator):
                sums = self.counts @ estimator.statistics
                without = estimator.combine(sums - removed[:, None] * estimator.statistics)
            else:
                without = self._without(estimator, np.arange(len(removed)), removed)
            return JackknifeDerivatives(value, (value - without) / removed)

    def variance(self, by_unit: Floats) -> float:
        """The jackknife variance of a value with such derivatives; 0 where fewer than two are finite."""
        finite = np.isfinite(by_unit)
        by_unit, weights = by_unit[finite], self.weights[finite]
        total = float(weights.sum())
        if np.count_nonzero(finite) < 2:
            return 0.0
        centred = by_unit - float(weights @ by_unit) / total
        return max(0.0, (total - 1) / total) * float(weights @ (centred * centred))

    def variance_share_of_last(self, by_unit: Floats, rows: int) -> float:
        """The share of the variance that comes from the last `rows` rows; 0 where groups are left out."""
        if self.groups is not None:
            return 0.0
        finite = np.isfinite(by_unit)
        weights = np.where(finite, self.weights, 0.0)
        centred = np.where(finite, by_unit, 0.0)
        centred = centred - float(weights @ centred) / float(weights.sum())
        squares = weights * centred * centred
        total = float(squares.sum())
        return float(squares[len(squares) - rows :].sum()) / total if total > 0 else 0.0

    def modal_count(self, by_unit: Floats) -> float:
        """How many items have the most common derivative, up to rounding."""
        finite = np.isfinite(by_unit)
        scale = float(np.abs(by_unit[finite]).max(initial=0.0))
        if scale == 0.0 or not finite.any():
            return float(self.weights.sum())
        _, numbers = np.unique(np.round(by_unit[finite] / scale, 9), return_inverse=True)
        return float(np.bincount(numbers, self.weights[finite]).max())

    def changed_count(self, by_unit: Floats) -> float:
        """How many items have a derivative other than 0, up to rounding."""
        sizes = np.abs(np.nan_to_num(by_unit))
        return float(self.weights[sizes > 1e-9 * math.fsum(sizes) / len(sizes)].sum())

    def _without(self, estimator: Estimator, groups: Ints, removed: Floats) -> Floats:
        """The metric without each group: of its rows' counts `removed` is taken away."""
        values = np.empty(int(groups.max()) + 1)
        for block in blocks(len(values), len(groups)):
            inside = groups[None, :] == np.arange(block.start, block.stop)[:, None]
            values[block] = estimator(self.counts - inside * removed)
        return values
