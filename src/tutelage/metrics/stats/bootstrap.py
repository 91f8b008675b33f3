"""The seeded bootstrap, as weights: how often each row of statistics is drawn."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.stats.arrays import Floats, Ints, blocks
from tutelage.metrics.stats.estimators import Estimator

RESAMPLES = 1000
_CACHED = 120_000  # numbers counted at once: what a processor's cache holds


def resample(
    estimator: Estimator, counts: Ints, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Floats:
    """Draw resamples of the items and compute a metric on each.

    Args:
        estimator: the metric as a function of how often each of the m rows is drawn.
        counts: how many items each row stands for, int64 of shape (m,); all 1 when no duplicates were folded.
        rng: the source of randomness.
        resamples: how many.

    Returns:
        Float64 of shape (resamples,). Folded rows are drawn together (their number is multinomial), so a table of right
        and wrong costs the same for a hundred items and for a million.
    """
    values = np.empty(resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        for block in blocks(resamples, len(counts)):
            values[block] = estimator(_draw(counts, block.stop - block.start, rng))
    return values


def _draw(counts: Ints, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each row is drawn in each resample, float64 of shape (resamples, m)."""
    n, m = int(counts.sum()), len(counts)
    if m < n:
        return rng.multinomial(n, counts / n, size=resamples).astype(np.float64)
    weights = np.empty((resamples, n))
    step = max(1, _CACHED // max(n, 1))
    for start in range(0, resamples, step):
        part = weights[start : start + step]
        drawn = rng.integers(0, n, part.shape, dtype=np.int64)
        drawn += (np.arange(len(part)) * n)[:, None]  # each resample counts in its own n bins
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    return weights
