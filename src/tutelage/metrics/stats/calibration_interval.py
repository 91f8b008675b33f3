"""The interval of an expected calibration error, whose plain estimate is biased upward.

Each bin's gap between confidence and accuracy is taken without its sign, so noise only adds to the sum: a calibrated model
shows an error of its own (A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", 2019, section 4). The interval
inverts a parametric bootstrap (J. Carpenter, "Test inversion bootstrap confidence intervals", 1999): it holds every error
under which the observed one is neither among the lowest nor among the highest 2 % of those simulated (2, not 2.5, because
the models that are tried are a line through all possible ones). Those models are the observed one with all its gaps
multiplied by one factor; with 0 it is calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tutelage.metrics.stats.arrays import Floats, Ints
from tutelage.metrics.stats.intervals import bisect

DRAWS = 500
_TAIL = 0.02
_HALVINGS = 9
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceBins:
    """Items by bin of confidence, float64 of shape (bins,) each; bins without items are left out.

    Attributes:
        sizes: how many items.
        confidence: their mean confidence.
        variance: the variance of their confidence.
        right: how many are right.
    """

    sizes: Floats
    confidence: Floats
    variance: Floats
    right: Floats

    @classmethod
    def of(cls, confidence: Floats, right: Floats, bins: Ints, *, count: float) -> ConfidenceBins:
        """Sort items into bins.

        Args:
            confidence: of each item, float64 of shape (n,).
            right: 1 for a right item, 0 for a wrong one, float64 of shape (n,).
            bins: each item's bin, int64 of shape (n,).
            count: how many independent items they count as.
        """
        _, bins = np.unique(bins, return_inverse=True)
        sizes = np.bincount(bins).astype(np.float64)
        mean = np.bincount(bins, confidence) / sizes
        variance: Floats = np.bincount(bins, confidence**2) / sizes - mean**2
        weight = count / len(confidence)
        hits = np.bincount(bins, right).astype(np.float64) * weight
        return cls(sizes * weight, mean, np.maximum(variance, 0.0), hits)

    def error(self) -> float:
        """The plain estimate."""
        return float(np.abs(self.sizes * self.confidence - self.right).sum() / self.sizes.sum())

    def accuracy(self, factor: float) -> Floats:
        """Each bin's accuracy with its observed gap, shrunk by one calibrated pseudo-item, multiplied by `factor`."""
        shrunk = (self.right + self.confidence) / (self.sizes + 1)
        return np.clip(self.confidence - factor * (self.confidence - shrunk), 0.0, 1.0)

    def true_error(self, factor: float) -> float:
        """The true error of a model with the accuracies `accuracy(factor)`."""
        gap = np.abs(self.confidence - self.accuracy(factor))
        return float(self.sizes @ gap / self.sizes.sum())


class _Simulation:
    """Simulated items, the same for all models; a model decides only which of them are right."""

    def __init__(self, bins: ConfidenceBins, rng: np.random.Generator) -> None:
        self.bins, self.rng = bins, rng
        self.total = max(1, round(float(bins.sizes.sum())))
        self.sizes = rng.multinomial(self.total, bins.sizes / bins.sizes.sum(), size=DRAWS)
        noise = rng.standard_normal(self.sizes.shape) * np.sqrt(self.sizes * bins.variance)
        self.confidence: Floats = self.sizes * bins.confidence + noise
        self.state = rng.bit_generator.state

    def errors(self, factor: float) -> Floats:
        """Estimated errors of the model with the accuracies `bins.accuracy(factor)`, float64 of shape (DRAWS,)."""
        self.rng.bit_generator.state = self.state
        right = self.rng.binomial(self.sizes, self.bins.accuracy(factor))
        errors: Floats = np.abs(self.confidence - right).sum(1) / self.total
        return errors


def calibration_interval(bins: ConfidenceBins, rng: np.random.Generator) -> tuple[float, float]:
    """The interval of the error, which holds the plain estimate.

    Args:
        bins: the items.
        rng: draws items and answers, with the same random numbers for all models that are tried.
    """
    observed, simulation = bins.error(), _Simulation(bins, rng)

    def too_small(factor: float) -> bool:
        return float(np.mean(simulation.errors(factor) >= observed - _ROUNDING)) <= _TAIL

    def too_large(factor: float) -> bool:
        return float(np.mean(simulation.errors(factor) <= observed + _ROUNDING)) <= _TAIL

    low = bins.true_error(bisect(too_small, 0.0, 1.5, halvings=_HALVINGS)[0]) if too_small(0.0) else 0.0
    limit = 1.0
    while limit < 64 and not too_large(limit):
        limit *= 2
    _, last = bisect(lambda factor: not too_large(factor), 0.0, limit, halvings=_HALVINGS)
    high = bins.true_error(last)
    return min(low, observed), max(high, observed)
