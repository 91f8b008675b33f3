"""Paired tests: how likely is such a difference between two models when nothing changed?"""

from __future__ import annotations

import math

import numpy as np

from tutelage.metrics.stats.arrays import Floats, Ints, blocks
from tutelage.metrics.stats.estimators import Estimator, SumEstimator
from tutelage.metrics.stats.intervals import Z

TRIALS = 10_000
POWER_80 = 0.8416212335729143  # the normal distribution's 80 % point


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test: are gains and losses equally likely?

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947.
    The binomial distribution itself is summed at every n; there is no chi-square approximation to fall back on.
    """
    from scipy.special import bdtr

    changed = gained + lost
    return 1.0 if changed == 0 else min(1.0, 2.0 * float(bdtr(min(gained, lost), changed, 0.5)))


def approximate_randomisation(
    estimator: Estimator, counts: Ints, *, rng: np.random.Generator, trials: int = TRIALS
) -> float:
    """Two-sided p: how often does exchanging base and tuned at random give a difference as large?

    E. W. Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989; p = (c + 1) / (trials + 1), which counts
    the observed arrangement as one of them.

    Args:
        estimator: takes weights of the m base rows and then the m tuned rows, float64 of shape (b, 2 m), to values.
        counts: how many units each pair of rows stands for, int64 of shape (m,).
        rng: the source of randomness.
        trials: how many arrangements are drawn.
    """
    observed = abs(_exchanged_difference(estimator, counts, np.zeros((1, len(counts))))[0])
    if not math.isfinite(observed):
        return 1.0
    extreme = 0
    for block in blocks(trials, 2 * len(counts)):
        exchanged = _draw_exchanges(counts, block.stop - block.start, rng)
        extreme += count_as_large(_exchanged_difference(estimator, counts, exchanged), observed)
    return (extreme + 1) / (trials + 1)


def sign_flips(changes: Floats, *, rng: np.random.Generator, trials: int = TRIALS) -> float:
    """Approximate randomisation of a mean: exchanging an item's scores turns the sign of its change.

    Args:
        changes: tuned minus base of each unit, float64 of shape (n,).
        rng: the source of randomness.
        trials: how many arrangements are drawn.
    """
    changes = changes[changes != 0]
    if not len(changes):
        return 1.0
    total = float(changes.sum())
    extreme = 0
    for block in blocks(trials, len(changes)):
        exchanged = _draw_exchanges(np.ones(len(changes), np.int64), block.stop - block.start, rng)
        extreme += count_as_large(total - 2 * (exchanged @ changes), abs(total))
    return (extreme + 1) / (trials + 1)


def effect_size(changes: Floats) -> float:
    """Cohen's d of paired scores: the mean change in standard deviations of the changes; 0 when nothing changed.

    J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.3.5 (d_z).
    """
    if len(changes) < 2:
        return math.nan
    deviation, mean = float(changes.std(ddof=1)), float(changes.mean())
    if deviation == 0.0:
        return 0.0 if mean == 0.0 else math.copysign(math.inf, mean)
    return mean / deviation


def minimum_detectable_effect(standard_error: float) -> float:
    """The smallest true difference that a two-sided test at 0.05 detects with 80 % power.

    (1.96 + 0.84) standard errors of the difference: E. Miller, "Adding error bars to evals", 2024, section 5.
    """
    return (Z + POWER_80) * standard_error


def count_as_large(values: Floats, observed: float) -> int:
    """How many values are as large as the observed one, up to rounding; one that is NaN counts."""
    return int(np.count_nonzero(~(np.abs(values) < observed - 1e-12 * max(1.0, observed))))


def _exchanged_difference(estimator: Estimator, counts: Ints, exchanged: Floats) -> Floats:
    """Tuned minus base after `exchanged` of each pair's units, float64 of shape (b, m), have changed sides."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if isinstance(estimator, SumEstimator):
            base, tuned = np.split(estimator.statistics, 2)
            shift = exchanged @ (tuned - base)
            return estimator.combine(counts @ tuned - shift) - estimator.combine(counts @ base + shift)
        base_weights = np.hstack((counts - exchanged, exchanged))
        tuned_weights = np.hstack((exchanged, counts - exchanged))
        return estimator(tuned_weights) - estimator(base_weights)


def _draw_exchanges(counts: Ints, trials: int, rng: np.random.Generator) -> Floats:
    """How many of each row's units change sides, float64 of shape (trials, m): a fair coin for each unit."""
    if np.any(counts != 1):
        return rng.binomial(counts, 0.5, size=(trials, len(counts))).astype(np.float64)
    coins = rng.integers(0, 256, (trials, -(-len(counts) // 8)), dtype=np.uint8)
    return np.unpackbits(coins, axis=1, count=len(counts)).astype(np.float64)
