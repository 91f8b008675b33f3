"""The jackknife: how much a metric changes when one item is left out, and the variance that follows.

B. Efron, C. Stein, "The jackknife estimate of variance", 1981. Lines may stand for many equal items, or for a part of one:
an item that nobody saw. A function of sums costs one evaluation a line; of any other function with many lines, random
groups of lines are left out instead (J. Shao, D. Tu, The Jackknife and Bootstrap, 1995, section 5.1.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tutelage.metrics.stats.bootstrap import Estimator, Floats, Ints, SumEstimator, blocks

GROUPS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class JackknifeDerivatives:
    """A metric's value, and its derivative by the number of each line's items.

    Attributes:
        value: under the counts given.
        each: float64 of shape (b,), one a line or a group of lines.
    """

    value: float
    each: Floats


class Jackknife:
    """A plan which lines to leave out together, the same for several metrics.

    Args:
        counts: how many items each line stands for, float64 of shape (m,), above 0.
        rng: draws the groups where there are many lines.
        sums: whether all the metrics are functions of sums.
    """

    def __init__(self, counts: Floats, rng: np.random.Generator, *, sums: bool) -> None:
        self.counts = counts
        self.groups: Ints | None = None
        if not sums and len(counts) > GROUPS:
            self.groups = rng.permutation(np.arange(len(counts)) % GROUPS)
        self.weights: Floats = counts if self.groups is None else np.ones(GROUPS)

    def derivatives(self, weigh: Estimator) -> JackknifeDerivatives:
        """The value and its derivatives; NaN where leaving a line out leaves no value."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(weigh(self.counts[None])[0])
            if self.groups is not None:
                without = self._without_groups(weigh, self.groups)
                return JackknifeDerivatives(value, value - without)
            part = np.minimum(self.counts, 1.0)
            if isinstance(weigh, SumEstimator):
                without = weigh.combine(self.counts @ weigh.lines - part[:, None] * weigh.lines)
            else:
                without = self._without_lines(weigh, part)
            return JackknifeDerivatives(value, (value - without) / part)

    def variance(self, each: Floats) -> float:
        """The jackknife variance of a value with such derivatives; 0 where fewer than two are known."""
        known = np.isfinite(each)
        each, weights = each[known], self.weights[known]
        total = float(weights.sum())
        if np.count_nonzero(known) < 2:
            return 0.0
        centred = each - float(weights @ each) / total
        return max(0.0, (total - 1) / total) * float(weights @ (centred * centred))

    def share_of_last(self, each: Floats, lines: int) -> float:
        """The share of the variance that the last lines make; 0 where lines are left out by groups."""
        if self.groups is not None:
            return 0.0
        known = np.isfinite(each)
        weights = np.where(known, self.weights, 0.0)
        centred = np.where(known, each, 0.0)
        centred = centred - float(weights @ centred) / float(weights.sum())
        parts = weights * centred * centred
        total = float(parts.sum())
        return float(parts[len(parts) - lines :].sum()) / total if total > 0 else 0.0

    def alike(self, each: Floats) -> float:
        """How many items have the most common derivative, up to rounding."""
        known = np.isfinite(each)
        scale = float(np.abs(each[known]).max(initial=0.0))
        if scale == 0.0 or not known.any():
            return float(self.weights.sum())
        _, place = np.unique(np.round(each[known] / scale, 9), return_inverse=True)
        return float(np.bincount(place, self.weights[known]).max())

    def moved(self, each: Floats) -> float:
        """How many items have a derivative other than 0, up to rounding."""
        known = np.nan_to_num(each)
        return float(self.weights[np.abs(known) > 1e-9 * math.fsum(np.abs(known)) / len(known)].sum())

    def _without_lines(self, weigh: Estimator, part: Floats) -> Floats:
        found = np.empty(len(part))
        for block in blocks(len(part), len(part)):
            weights = np.tile(self.counts, (block.stop - block.start, 1))
            at = np.arange(block.start, block.stop)
            weights[at - block.start, at] -= part[at]
            found[block] = weigh(weights)
        return found

    def _without_groups(self, weigh: Estimator, groups: Ints) -> Floats:
        found = np.empty(GROUPS)
        for block in blocks(GROUPS, len(groups)):
            kept = groups[None, :] != np.arange(block.start, block.stop)[:, None]
            found[block] = weigh(kept * self.counts)
        return found
