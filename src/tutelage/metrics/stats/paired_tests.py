"""Tests of two lists of scores on the same items: how likely is such a difference when nothing changed?"""

from __future__ import annotations

import math

import numpy as np

from tutelage.metrics.stats.bootstrap import Estimator, Floats, Ints, SumEstimator, blocks, expansion
from tutelage.metrics.stats.intervals import Z

TRIALS = 10_000
_POWER_80 = 0.8416212335729143  # the normal distribution's 80 % point


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test: are gains and losses equally likely?

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947.
    The binomial distribution itself is summed at every n; there is no chi-square approximation to fall back on.
    """
    from scipy.special import bdtr

    changed = gained + lost
    return 1.0 if changed == 0 else min(1.0, 2.0 * float(bdtr(min(gained, lost), changed, 0.5)))


def approximate_randomisation(
    weigh: Estimator, counts: Ints, *, rng: np.random.Generator, trials: int = TRIALS
) -> float:
    """Two-sided p: how often does exchanging base and tuned at random give a difference as large?

    E. W. Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989; p = (c + 1) / (trials + 1), which counts
    the arrangement that was seen as one of them.

    Args:
        weigh: takes weights of the m base lines and then the m tuned lines, float64 of shape (b, 2 m), to values.
        counts: how many units each pair of lines stands for, int64 of shape (m,).
        rng: the source of randomness.
        trials: how many arrangements are drawn.
    """
    m = len(counts)
    still = np.zeros((1, m))
    seen = abs(_exchange(weigh, counts, still)[0])
    if not math.isfinite(seen):
        return 1.0
    reached = 0
    for block in blocks(trials, 2 * m):
        moved = _moved(counts, block.stop - block.start, rng)
        reached += _as_large(_exchange(weigh, counts, moved), seen)
    return (reached + 1) / (trials + 1)


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
    reached = 0
    for block in blocks(trials, len(changes)):
        moved = _moved(np.ones(len(changes), np.int64), block.stop - block.start, rng)
        reached += _as_large(total - 2 * (moved @ changes), abs(total))
    return (reached + 1) / (trials + 1)


def differences(weigh: Estimator, weights: Floats) -> Floats:
    """Tuned minus base under given weights of the m pairs of lines, float64 of shape (b, m) to (b,)."""
    if isinstance(weigh, SumEstimator):
        base, tuned = np.split(weigh.lines, 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return weigh.combine(weights @ tuned) - weigh.combine(weights @ base)
    none = np.zeros_like(weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return weigh(np.hstack((none, weights))) - weigh(np.hstack((weights, none)))


def bootstrap_p(drawn: Floats, seen: float, units: int) -> float:
    """Two-sided p from resampled differences: their deviations from the one seen are taken as what chance does.

    S. Riezler, J. T. Maxwell, "On some pitfalls in automatic evaluation and significance testing for MT", 2005. The
    deviations are widened as the interval is, so that small n gives no more false alarms than it should.
    """
    known = drawn[np.isfinite(drawn)]
    if units < 2 or not len(known) or not math.isfinite(seen):
        return 1.0
    return (_as_large((known - seen) * expansion(units), abs(seen)) + 1) / (len(known) + 1)


def effect_size(changes: Floats) -> float:
    """Cohen's d of paired scores: the mean change in standard deviations of the changes; 0 when nothing changed.

    J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.3.5 (d_z).
    """
    if len(changes) < 2:
        return math.nan
    spread, centre = float(changes.std(ddof=1)), float(changes.mean())
    if spread == 0.0:
        return 0.0 if centre == 0.0 else math.copysign(math.inf, centre)
    return centre / spread


def minimum_detectable_effect(standard_error: float) -> float:
    """The smallest true difference that a two-sided test at 0.05 finds in 80 of 100 repetitions.

    (1.96 + 0.84) standard errors of the difference: E. Miller, "Adding error bars to evals", 2024, section 5.
    """
    return (Z + _POWER_80) * standard_error


def _exchange(weigh: Estimator, counts: Ints, moved: Floats) -> Floats:
    """Tuned minus base after `moved` of each pair's units, float64 of shape (b, m), have changed sides."""
    if isinstance(weigh, SumEstimator):
        base, tuned = np.split(weigh.lines, 2)
        shift = moved @ (tuned - base)
        with np.errstate(invalid="ignore", divide="ignore"):
            return weigh.combine(counts @ tuned - shift) - weigh.combine(counts @ base + shift)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.hstack((counts - moved, moved))
        right = np.hstack((moved, counts - moved))
        return weigh(right) - weigh(left)


def _as_large(values: Floats, seen: float) -> int:
    """How many reach what was seen; one that has no value counts, and so does one that differs by rounding only."""
    return int(np.count_nonzero(~(np.abs(values) < seen - 1e-12 * max(1.0, seen))))


def _moved(counts: Ints, trials: int, rng: np.random.Generator) -> Floats:
    """How many of each line's units change sides, float64 of shape (trials, m): a fair coin for each unit."""
    if np.any(counts != 1):
        return rng.binomial(counts, 0.5, size=(trials, len(counts))).astype(np.float64)
    dice = rng.integers(0, 256, (trials, -(-len(counts) // 8)), dtype=np.uint8)
    return np.unpackbits(dice, axis=1, count=len(counts)).astype(np.float64)
