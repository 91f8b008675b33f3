"""The interval of an expected calibration error, whose plain estimate is too large.

Each bin's distance between confidence and accuracy is taken without its sign, so noise only adds to the sum: a model that
is calibrated shows an error of its own (A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", 2019, section 4).
The interval inverts a parametric bootstrap (J. Carpenter, "Test inversion bootstrap confidence intervals", 1999): it holds
every error under which the one seen is neither among the lowest nor among the highest 2 % of those drawn anew (2, not
2.5, because the models that are tried are a line through all possible ones). The models drawn from are the one seen with all its distances multiplied by one number; with 0 it is calibrated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tutelage.metrics.stats.bootstrap import Floats, Ints

DRAWS = 500
_TAIL = 0.02
_HALVINGS = 9
_SAME = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Items by bin of confidence, float64 of shape (bins,) each; bins without items are left out.

    Attributes:
        sizes: how many items.
        confidence: their mean confidence.
        spread: the variance of their confidence.
        right: how many are right.
    """

    sizes: Floats
    confidence: Floats
    spread: Floats
    right: Floats

    @classmethod
    def of(cls, confidence: Floats, right: Floats, place: Ints, *, count: float) -> Bins:
        """Items put into bins.

        Args:
            confidence: of each item, float64 of shape (n,).
            right: 1 for a right item, 0 for a wrong one, float64 of shape (n,).
            place: each item's bin, int64 of shape (n,).
            count: how many independent items they count as.
        """
        _, place = np.unique(place, return_inverse=True)
        sizes = np.bincount(place).astype(np.float64)
        centre = np.bincount(place, confidence) / sizes
        spread: Floats = np.bincount(place, confidence**2) / sizes - centre**2
        fewer = count / len(confidence)
        hits = np.bincount(place, right).astype(np.float64) * fewer
        return cls(sizes * fewer, centre, np.maximum(spread, 0.0), hits)

    def error(self) -> float:
        """The plain estimate."""
        return float(np.abs(self.sizes * self.confidence - self.right).sum() / self.sizes.sum())

    def accuracy(self, times: float) -> Floats:
        """Each bin's accuracy with the distances seen, shrunk by one item that is as calibrated, multiplied by `times`."""
        shrunk = (self.right + self.confidence) / (self.sizes + 1)
        return np.clip(self.confidence - times * (self.confidence - shrunk), 0.0, 1.0)

    def true_error(self, times: float) -> float:
        """The error of a model with these accuracies."""
        gap = np.abs(self.confidence - self.accuracy(times))
        return float(self.sizes @ gap / self.sizes.sum())


class _Draws:
    """Items drawn anew, the same for all models; a model decides only which of them are right."""

    def __init__(self, bins: Bins, rng: np.random.Generator) -> None:
        self.bins, self.rng = bins, rng
        self.total = max(1, round(float(bins.sizes.sum())))
        self.sizes = rng.multinomial(self.total, bins.sizes / bins.sizes.sum(), size=DRAWS)
        noise = rng.standard_normal(self.sizes.shape) * np.sqrt(self.sizes * bins.spread)
        self.confidence: Floats = self.sizes * bins.confidence + noise
        self.state = rng.bit_generator.state

    def errors(self, times: float) -> Floats:
        """Errors of models with the accuracies `Bins.accuracy(times)`, float64 of shape (DRAWS,)."""
        self.rng.bit_generator.state = self.state
        right = self.rng.binomial(self.sizes, self.bins.accuracy(times))
        errors: Floats = np.abs(self.confidence - right).sum(1) / self.total
        return errors


def interval(bins: Bins, rng: np.random.Generator) -> tuple[float, float]:
    """The interval of the error, in which the plain estimate lies.

    Args:
        bins: the items.
        rng: draws items and answers, with the same luck for all models that are tried.
    """
    seen, draws = bins.error(), _Draws(bins, rng)

    def too_small(times: float) -> bool:
        return float(np.mean(draws.errors(times) >= seen - _SAME)) <= _TAIL

    def too_large(times: float) -> bool:
        return float(np.mean(draws.errors(times) <= seen + _SAME)) <= _TAIL

    low = bins.true_error(_last(too_small, 0.0, 1.5)) if too_small(0.0) else 0.0
    most = 1.0
    while most < 64 and not too_large(most):
        most *= 2
    high = bins.true_error(_last(lambda times: not too_large(times), 0.0, most, after=True))
    return min(low, seen), max(high, seen)


def _last(holds: Callable[[float], bool], left: float, right: float, *, after: bool = False) -> float:
    """Where something that holds at first ceases to hold, by halving; from above with `after`."""
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        if holds(middle):
            left = middle
        else:
            right = middle
    return right if after else left
