"""95 % intervals in closed form: shares, means, and their differences on the same items.

All but Tango's have one form. A score interval holds every value t that is at most q standard errors away from the
estimate, with the standard error that t itself would have: v(t) = f (t - low) (high - t), as a share has, with the
factor f taken from the data. For right and wrong answers f is 1 / n and the interval is Wilson's; values that spread less
get a narrower one. It is skewed where the range ends and stays inside it.

Items that are all alike say nothing by their spread, so two items that nobody saw, one at each end of the range, are
added to it with the weight 1 / (2 + 2 k), k being the number of items that differ from the most common value. With
k = 0 the interval is Wilson's again, as if each item were right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Z = 1.959963984540054  # the normal distribution's 97.5 % point


def t_quantile(freedom: float) -> float:
    """Student's t distribution's 97.5 % point."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def t_test(value: float, error: float, freedom: float) -> float:
    """Two-sided p of a value that is 0 in truth, given its standard error."""
    from scipy.special import stdtr

    return 1.0 if error == 0 else min(1.0, 2 * float(stdtr(freedom, -abs(value) / error)))


def wilson(right: float, n: int) -> tuple[float, float]:
    """The interval of a share of `right` in `n`.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if n == 0:
        return math.nan, math.nan
    return on_range(right / n, 1 / n, Z, low=0.0, high=1.0)


def on_range(value: float, factor: float, quantile: float, *, low: float, high: float) -> tuple[float, float]:
    """The score interval of a value between `low` and `high`.

    Args:
        value: the estimate.
        factor: its variance at t is this times (t - low) (high - t), or times (t - low) when `high` is infinite.
        quantile: how many standard errors the ends are away.
        low: the smallest possible value.
        high: the largest possible value.
    """
    extra = quantile * quantile * factor
    if math.isinf(high):
        above = value - low
        half = math.sqrt(extra * above + extra * extra / 4)
        first, last = max(low, value + extra / 2 - half), value + extra / 2 + half
    else:
        width = high - low
        share = (value - low) / width
        centre = (share + extra / 2) / (1 + extra)
        half = math.sqrt(max(0.0, extra * share * (1 - share) + extra * extra / 4)) / (1 + extra)
        first, last = low + width * max(0.0, centre - half), low + width * min(1.0, centre + half)
    # At an end of the range the formula gives that end, up to rounding.
    return (low if value == low else min(first, value)), (high if value == high else max(last, value))


def smoothed_factor(
    value: float,
    variance: float,
    size: float,
    alike: float,
    freedom: float,
    *,
    low: float,
    high: float,
    bounded: bool = True,
) -> tuple[float, float]:
    """The factor and the quantile of `on_range`, with the items added that nobody saw.

    What these items add is no estimate, so Student's quantile has more degrees of freedom the more of the factor is theirs
    (`pooled_freedom`).

    Args:
        value: the estimate.
        variance: of the estimate.
        size: how many independent items it rests on.
        alike: how many of these have the most common value.
        freedom: the degrees of freedom of `variance`.
        low: the smallest possible value.
        high: the largest possible value; a large one when it has no bound.
        bounded: whether it has one.
    """
    width = high - low
    share, spread = (value - low) / width, variance / width**2
    weight = 0.5 / (1 + max(size - alike, 0.0))
    total = size + 2 * weight
    centre = (size * share + weight) / total
    seen = size * (size - 1) * spread
    added = size * (share - centre) ** 2 + weight * (centre**2 + (1 - centre) ** 2)
    variance = (seen + added) / (total * (total - 1))
    factor = variance / (centre * (1 - centre)) if bounded else variance * width / centre
    return factor, t_quantile(pooled_freedom(seen, freedom, added))


def most_common(values: Floats) -> int:
    """How many of the values are equal to the most common one."""
    return int(np.unique(values, return_counts=True)[1].max(initial=0))


def mean(values: Floats, *, low: float, high: float) -> tuple[float, float]:
    """The score interval of a mean of independent values between `low` and `high`; one alone gets the whole range."""
    n = len(values)
    if n == 0:
        return math.nan, math.nan
    if n == 1:
        return low, high
    centre = float(values.mean())
    variance = float(values.var(ddof=1)) / n
    alike = most_common(values)
    factor, quantile = smoothed_factor(centre, variance, n, alike, n - 1, low=low, high=high)
    return on_range(centre, factor, quantile, low=low, high=high)


def clustered_mean(values: Floats, clusters: Ints, *, low: float, high: float) -> tuple[float, float]:
    """The score interval of a mean whose values come in clusters (rows about one document, answers to one question).

    The standard error sums the residuals by cluster (E. Miller, "Adding error bars to evals", 2024, section 2.2), each
    cluster's sum over the share of items outside it: the jackknife that leaves a cluster out (R. Bell, D. McCaffrey,
    "Bias reduction in standard errors for linear regression with multi-stage samples", 2002), because the plain sum
    is too small for few clusters of unequal size. Clusters of unequal size count as `effective` ones.
    """
    n = len(values)
    if n == 0:
        return math.nan, math.nan
    sizes = np.bincount(clusters)
    if len(sizes) == 1:
        return low, high
    centre = float(values.mean())
    size = effective(sizes.astype(np.float64))
    variance = _clustered_variance(values, clusters)
    alike = most_common(np.round(np.bincount(clusters, values) / sizes, 12)) * size / len(sizes)
    freedom = max(size - 1, 1.0)
    factor, quantile = smoothed_factor(centre, variance, size, alike, freedom, low=low, high=high)
    return on_range(centre, factor, quantile, low=low, high=high)


def effective(weights: Floats) -> float:
    """How many equal weights spread a mean as much as these do: L. Kish, Survey Sampling, 1965, section 11.7."""
    return float(weights.sum() ** 2 / (weights @ weights))


def mean_change(changes: Floats, clusters: Ints | None, *, most: float) -> tuple[float, float]:
    """The standard error of a mean of paired changes, and its degrees of freedom.

    Args:
        changes: tuned minus base of each item, float64 of shape (n,).
        clusters: each item's cluster; None when items are independent.
        most: the largest change that an item can have.
    """
    n = len(changes)
    if clusters is None:
        shares = np.full(n, 1 / n)
        variance = float(changes.var(ddof=1)) / n if n > 1 else math.inf
        moved = int(np.count_nonzero(changes))
    else:
        shares = np.bincount(clusters) / n
        variance = _clustered_variance(changes, clusters) if len(shares) > 1 else math.inf
        moved = int(np.count_nonzero(np.bincount(clusters, changes != 0)))
    unseen = unseen_changes(shares, moved, most)
    return math.sqrt(variance + unseen), pooled_freedom(variance, max(effective(shares) - 1, 1.0), unseen)


def combined_difference(
    values: tuple[float, float],
    ends: tuple[tuple[float, float], tuple[float, float]],
    correlation: float,
    unseen: float,
) -> tuple[float, float]:
    """The interval of tuned minus base, as skewed as the intervals of both are.

    G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures", 2008; for correlated estimates G. Y. Zou,
    "Toward using confidence intervals to compare correlations", 2007.

    Args:
        values: of base and tuned.
        ends: of the intervals of base and tuned.
        correlation: between both estimates.
        unseen: the variance that `unseen_changes` gives.
    """
    (base, tuned), ((base_low, base_high), (tuned_low, tuned_high)) = values, ends
    correlation = min(max(correlation, -1.0), 1.0)

    def reach(first: float, second: float) -> float:
        squares = first * first + second * second - 2 * correlation * first * second
        return math.sqrt(max(0.0, squares) + Z * Z * unseen)

    down = reach(tuned - tuned_low, base_high - base)
    return tuned - base - down, tuned - base + reach(tuned_high - tuned, base - base_low)


def unseen_changes(shares: Floats, moved: float, most: float) -> float:
    """What unobserved changes add to the variance of a mean change, so that unchanged items exclude nothing.

    With it, an interval of Z standard errors around n unchanged items is as wide as Tango's for right and wrong answers:
    Z**2 / (n + Z**2) on either side, each change being the largest possible. That is about the rule of three (J. Hanley,
    A. Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983). It fades as `moved` items show how large
    changes are.

    Args:
        shares: each unit's share of the mean, float64 of shape (units,).
        moved: how many units changed.
        most: the largest change that a unit's items can have.
    """
    weight = math.sqrt(float(shares @ shares) / len(shares))  # 1 / n for n equal units
    return (most * Z * weight / (1 + Z * Z * weight)) ** 2 / (1 + moved)


def pooled_freedom(variance: float, freedom: float, exact: float) -> float:
    """Degrees of freedom of the sum of an estimated variance and one that needs no estimate.

    B. Welch, "The generalization of 'Student's' problem when several different population variances are involved", 1947.

    Args:
        variance: the estimated part.
        freedom: its degrees of freedom.
        exact: the part that is no estimate.
    """
    if not math.isfinite(variance):
        return freedom
    share = variance / (variance + exact) if variance > 0 else 0.0
    return freedom / (share * share) if share > 0 else math.inf


def _clustered_variance(values: Floats, clusters: Ints) -> float:
    n = len(values)
    sums = np.bincount(clusters, values - float(values.mean()))
    residuals: Floats = sums / (1 - np.bincount(clusters) / n)
    return (len(sums) - 1) / len(sums) * float(residuals @ residuals) / n**2


def paired_proportions(gained: int, lost: int, n: int) -> tuple[float, float]:
    """The interval of the difference of two proportions on the same n items.

    Args:
        gained: items wrong before and right after.
        lost: items right before and wrong after.
        n: all items.

    The score interval: all differences that a score test with the restricted maximum-likelihood estimate does not
    reject. T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-
    sample design", 1998. It has a width even when nothing differs.
    """
    if n == 0:
        return math.nan, math.nan

    def score(delta: float) -> float:
        a = 2 * n
        b = -gained - lost + (2 * n - gained + lost) * delta
        c = -lost * delta * (1 - delta)
        other = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = n * (2 * other + delta * (1 - delta))
        top = gained - lost - n * delta
        if variance <= 0:
            return 0.0 if top == 0 else math.copysign(math.inf, top)
        return top / math.sqrt(variance)

    difference = (gained - lost) / n
    lower = -1.0 if lost == n else _crossing(lambda d: score(d) - Z, -1.0, difference)
    upper = 1.0 if gained == n else _crossing(lambda d: score(d) + Z, difference, 1.0)
    return lower, upper


def agreeing(
    value: float, ends: tuple[float, float], p: float, inverted: float, *, level: float = 0.05
) -> tuple[float, float, float]:
    """An interval and a p that say the same: the interval leaves 0 out exactly when p is below `level`.

    The two come from different tests: the exact one of no difference at all, and the one that the interval inverts. A
    difference is beyond chance when both reject it. So an interval whose exact test does not reject reaches to 0, and p is
    the larger one where only the exact test rejects. Both changes are to the safe side.

    Args:
        value: the difference.
        ends: of its interval.
        p: of the exact test.
        inverted: the p of the test that the interval inverts; at least `level` when it holds 0.
        level: one minus the interval's level.

    Returns:
        Both ends and p.
    """
    low, high = min(ends[0], value), max(ends[1], value)
    if low <= 0 <= high:
        return low, high, p if p >= level else max(inverted, level)
    if p >= level:
        return min(low, 0.0), max(high, 0.0), p
    return low, high, p


def _crossing(f: Callable[[float], float], left: float, right: float) -> float:
    """Where a falling function crosses zero, by halving."""
    for _ in range(60):
        middle = (left + right) / 2
        if f(middle) > 0:
            left = middle
        else:
            right = middle
    return (left + right) / 2
