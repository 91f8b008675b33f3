"""Metrics as functions of weights: how often each item counts, never the texts again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tutelage.metrics.stats.arrays import Floats, Ints

Estimator = Callable[[Floats], Floats]
"""A metric's values from weights: how often each row of statistics counts, float64 of shape (b, m), to shape (b,)."""


@dataclass(frozen=True, slots=True, eq=False)
class SumEstimator:
    """An `Estimator` for metrics that are a function of the summed statistics.

    Attributes:
        combine: sums, float64 of shape (b, k), to the metric's values, shape (b,).
        statistics: float64 of shape (m, k).
    """

    combine: Callable[[Floats], Floats]
    statistics: Floats

    def __call__(self, weights: Floats) -> Floats:
        """Values under given weights, float64 of shape (b, m) to (b,)."""
        return self.combine(weights @ self.statistics)

    def by_cluster(self, clusters: Ints) -> SumEstimator:
        """The same metric as a function of the weights of whole clusters."""
        sums = np.zeros((int(clusters.max(initial=-1)) + 1, self.statistics.shape[1]))
        np.add.at(sums, clusters, self.statistics)
        return SumEstimator(self.combine, sums)
