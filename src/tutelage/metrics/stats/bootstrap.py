"""The seeded bootstrap, in weights: how often each line of statistics is drawn, never the texts again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tutelage.metrics.stats.intervals import Z, t_quantile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Estimator = Callable[[Floats], Floats]

RESAMPLES = 1000
_BLOCK = 4_000_000  # numbers held at once while resampling
_CACHED = 120_000  # numbers counted at once: what a processor's cache holds


@dataclass(frozen=True, slots=True, eq=False)
class SumEstimator:
    """A `Weigh` for metrics that are a function of the lines' sum.

    Attributes:
        combine: sums, float64 of shape (b, k), to the metric's values, shape (b,).
        lines: float64 of shape (m, k).
    """

    combine: Callable[[Floats], Floats]
    lines: Floats

    def __call__(self, weights: Floats) -> Floats:
        """Values under given weights, float64 of shape (b, m) to (b,)."""
        return self.combine(weights @ self.lines)

    def by_cluster(self, clusters: Ints) -> SumEstimator:
        """The same function of weights of whole clusters."""
        sums = np.zeros((int(clusters.max(initial=-1)) + 1, self.lines.shape[1]))
        np.add.at(sums, clusters, self.lines)
        return SumEstimator(self.combine, sums)


def resample(
    weigh: Estimator, counts: Ints, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Floats:
    """A metric on resampled units.

    Args:
        weigh: takes how often each line is drawn, float64 of shape (b, m), to the metric's values, shape (b,).
        counts: how many units each of the m lines stands for; all 1 when none were folded together.
        rng: the source of randomness.
        resamples: how many.

    Returns:
        Float64 of shape (resamples,). Equal lines are drawn together (their number is multinomial), so that a table
        of right and wrong costs the same for a hundred items and for a million.
    """
    found = np.empty(resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        for block in blocks(resamples, len(counts)):
            found[block] = weigh(draw(counts, block.stop - block.start, rng))
    return found


def draw(counts: Ints, resamples: int, rng: np.random.Generator) -> Floats:
    """Weights of resamples: how often each line is drawn, float64 of shape (resamples, m)."""
    n, m = int(counts.sum()), len(counts)
    if m < n:
        return rng.multinomial(n, counts / n, size=resamples).astype(np.float64)
    weights = np.empty((resamples, n))
    step = max(1, _CACHED // max(n, 1))
    for start in range(0, resamples, step):
        part = weights[start : start + step]
        drawn = rng.integers(0, n, part.shape, dtype=np.int64)
        drawn += (np.arange(len(part)) * n)[:, None]
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    return weights


def fold(lines: Floats) -> tuple[Floats, Ints]:
    """Equal lines folded together: the different ones, shape (m, k), and how many each stands for, shape (m,).

    When a first look finds hardly any repeats, all lines are kept and each stands for itself.
    """
    n = len(lines)
    first = lines[:256]
    if not n or len(np.unique(first, axis=0)) * 2 > max(len(first), 4):
        return lines, np.ones(n, np.int64)
    different, counts = np.unique(lines, axis=0, return_counts=True)
    return different, counts


def expansion(units: int) -> float:
    """How much wider a bootstrap's interval must be for a mean of so many units to get its t interval."""
    return math.sqrt(units / (units - 1)) * t_quantile(units - 1) / Z


def blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of `count` lines of `width` numbers that keep memory bounded."""
    step = max(1, min(count, _BLOCK // max(width, 1)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
