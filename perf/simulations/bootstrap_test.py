"""The paired bootstrap test, which the simulations compare with approximate randomisation."""

from __future__ import annotations

import math

import numpy as np

from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.estimators import Estimator, SumEstimator
from tutelage.metrics.stats.intervals import Z, t_quantile
from tutelage.metrics.stats.paired_tests import count_as_large


def weighted_differences(estimator: Estimator, weights: Floats) -> Floats:
    """Tuned minus base under given weights of the m pairs of rows, float64 of shape (b, m) to (b,)."""
    zeros = np.zeros_like(weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        if isinstance(estimator, SumEstimator):
            base, tuned = np.split(estimator.statistics, 2)
            return estimator.combine(weights @ tuned) - estimator.combine(weights @ base)
        return estimator(np.hstack((zeros, weights))) - estimator(np.hstack((weights, zeros)))


def bootstrap_p(resampled: Floats, observed: float, units: int) -> float:
    """Two-sided p from resampled differences: their deviations from the observed one are taken as what chance does.

    S. Riezler, J. T. Maxwell, "On some pitfalls in automatic evaluation and significance testing for MT", 2005. The
    deviations are widened to those of a t interval, so that small n gives no more false alarms than it should.
    """
    finite = resampled[np.isfinite(resampled)]
    if units < 2 or not len(finite) or not math.isfinite(observed):
        return 1.0
    widening = math.sqrt(units / (units - 1)) * t_quantile(units - 1) / Z
    return (count_as_large((finite - observed) * widening, abs(observed)) + 1) / (len(finite) + 1)
