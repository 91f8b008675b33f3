"""95 % intervals in closed form: shares, means, and their differences on the same items.

All but Tango's are score intervals. Such an interval holds every value t that is at most q standard errors away from the
estimate, with the standard error that t itself would have: v(t) = f (t - low) (high - t), as a share has, with the
factor f taken from the data. For right and wrong answers f is 1 / n and the interval is Wilson's; values that spread less
get a narrower one. It is skewed near the ends of the range and stays inside it.

Items that are all equal say nothing by their spread, so two pseudo-items, one at each end of the range, are added to the
variance with the weight 1 / (2 + 2 k), where k items differ from the most common value. With k = 0 the interval is
Wilson's again, as if each item were right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tutelage.metrics.stats.arrays import Floats, Ints

Z = 1.959963984540054  # the normal distribution's 97.5 % point


def t_quantile(dof: float) -> float:
    """Student's t distribution's 97.5 % point."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, 0.975))


def t_test(value: float, error: float, dof: float) -> float:
    """Two-sided p of a value that is 0 in truth, given its standard error."""
    from scipy.special import stdtr

    return 1.0 if error == 0 else min(1.0, 2 * float(stdtr(dof, -abs(value) / error)))


def t_tail(value: float, dof: float) -> float:
    """The probability that Student's t is above a value."""
    from scipy.special import stdtr

    return float(stdtr(dof, -value))


def wilson_interval(right: float, n: int) -> tuple[float, float]:
    """The interval of a share of `right` in `n`.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    return score_interval(right / n, 1 / n, Z, low=0.0, high=1.0)


def score_interval(
    value: float, factor: float, quantile: float, *, low: float, high: float
) -> tuple[float, float]:
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
    modal_count: float,
    dof: float,
    *,
    low: float,
    high: float,
    bounded: bool = True,
) -> tuple[float, float]:
    """The factor and the quantile of `score_interval`, with the two pseudo-items added.

    What pseudo-items add is no estimate, so Student's quantile has more degrees of freedom the more of the factor is
    theirs (`pooled_dof`).

    Args:
        value: the estimate.
        variance: of the estimate.
        size: how many independent items it rests on.
        modal_count: how many of these have the most common value.
        dof: the degrees of freedom of `variance`.
        low: the smallest possible value.
        high: the largest possible value; a large one when it has no bound.
        bounded: whether it has one.
    """
    width = high - low
    share, spread = (value - low) / width, variance / width**2
    weight = 0.5 / (1 + max(size - modal_count, 0.0))
    total = size + 2 * weight
    centre = (size * share + weight) / total
    observed = size * (size - 1) * spread
    added = size * (share - centre) ** 2 + weight * (centre**2 + (1 - centre) ** 2)
    variance = (observed + added) / (total * (total - 1))
    factor = variance / (centre * (1 - centre)) if bounded else variance * width / centre
    return factor, t_quantile(pooled_dof(observed, dof, added))


def most_common_count(values: Floats) -> int:
    """How many of the values are equal to the most common one."""
    return int(np.unique(values, return_counts=True)[1].max(initial=0))


def mean_interval(values: Floats, *, low: float, high: float) -> tuple[float, float]:
    """The score interval of a mean of independent values between `low` and `high`; one alone gets the whole range."""
    n = len(values)
    if n == 1:
        return low, high
    centre = float(values.mean())
    variance = float(values.var(ddof=1)) / n
    modal_count = most_common_count(values)
    factor, quantile = smoothed_factor(centre, variance, n, modal_count, n - 1, low=low, high=high)
    return score_interval(centre, factor, quantile, low=low, high=high)


def clustered_mean_interval(
    values: Floats, clusters: Ints, *, low: float, high: float
) -> tuple[float, float]:
    """The score interval of a mean whose values come in clusters (rows about one document, answers to one question).

    The standard error sums the residuals by cluster (E. Miller, "Adding error bars to evals", 2024, section 2.2), each
    cluster's sum over the share of items outside it: the jackknife that leaves a cluster out (R. Bell, D. McCaffrey,
    "Bias reduction in standard errors for linear regression with multi-stage samples", 2002), because the plain sum
    is too small for few clusters of unequal size. Clusters of unequal size count as `effective_size` ones.
    """
    sizes = np.bincount(clusters)
    if len(sizes) == 1:
        return low, high
    centre = float(values.mean())
    size = effective_size(sizes.astype(np.float64))
    variance = _clustered_variance(values, clusters)
    modal_count = most_common_count(np.round(np.bincount(clusters, values) / sizes, 12)) * size / len(sizes)
    dof = max(size - 1, 1.0)
    factor, quantile = smoothed_factor(centre, variance, size, modal_count, dof, low=low, high=high)
    return score_interval(centre, factor, quantile, low=low, high=high)


def effective_size(weights: Floats) -> float:
    """How many equal weights spread a mean as much as these do: L. Kish, Survey Sampling, 1965, section 11.7."""
    return float(weights.sum() ** 2 / (weights @ weights))


def mean_change_error(changes: Floats, clusters: Ints | None, *, largest: float) -> tuple[float, float]:
    """The standard error of a mean of paired changes, and its degrees of freedom.

    Args:
        changes: tuned minus base of each item, float64 of shape (n,).
        clusters: each item's cluster; None when items are independent.
        largest: the largest change that an item can have.
    """
    n = len(changes)
    if clusters is None:
        shares = np.full(n, 1 / n)
        variance = float(changes.var(ddof=1)) / n if n > 1 else math.inf
        changed = int(np.count_nonzero(changes))
    else:
        shares = np.bincount(clusters) / n
        variance = _clustered_variance(changes, clusters) if len(shares) > 1 else math.inf
        changed = int(np.count_nonzero(np.bincount(clusters, changes != 0)))
    unobserved = unobserved_variance(shares, changed, largest)
    return math.sqrt(variance + unobserved), pooled_dof(
        variance, max(effective_size(shares) - 1, 1.0), unobserved
    )


def difference_interval(
    values: tuple[float, float],
    ends: tuple[tuple[float, float], tuple[float, float]],
    correlation: float,
    unobserved: float,
) -> tuple[float, float]:
    """The interval of tuned minus base, as skewed as the intervals of both are.

    G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures", 2008; for correlated estimates G. Y. Zou,
    "Toward using confidence intervals to compare correlations", 2007.

    Args:
        values: of base and tuned.
        ends: of the intervals of base and tuned.
        correlation: between both estimates.
        unobserved: the variance that `unobserved_variance` gives.
    """
    (base, tuned), ((base_low, base_high), (tuned_low, tuned_high)) = values, ends
    correlation = min(max(correlation, -1.0), 1.0)

    def reach(first: float, second: float) -> float:
        squares = first * first + second * second - 2 * correlation * first * second
        return math.sqrt(max(0.0, squares) + Z * Z * unobserved)

    down = reach(tuned - tuned_low, base_high - base)
    return tuned - base - down, tuned - base + reach(tuned_high - tuned, base - base_low)


def unobserved_variance(shares: Floats, changed: float, largest: float) -> float:
    """What unobserved changes add to the variance of a mean change, so that unchanged items exclude nothing.

    With it, an interval of Z standard errors around n unchanged items is as wide as Tango's for right and wrong answers:
    Z**2 / (n + Z**2) on either side, each change being the largest possible. That is about the rule of three (J. Hanley,
    A. Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983). It fades as `changed` items show how large
    changes are.

    Args:
        shares: each unit's share of the mean, float64 of shape (units,).
        changed: how many units changed.
        largest: the largest change that a unit's items can have.
    """
    weight = math.sqrt(float(shares @ shares) / len(shares))  # 1 / n for n equal units
    return (largest * Z * weight / (1 + Z * Z * weight)) ** 2 / (1 + changed)


def pooled_dof(variance: float, dof: float, exact: float) -> float:
    """Degrees of freedom of the sum of an estimated variance and one that needs no estimate.

    B. Welch, "The generalization of 'Student's' problem when several different population variances are involved", 1947.

    Args:
        variance: the estimated part.
        dof: its degrees of freedom.
        exact: the part that is no estimate.
    """
    if not math.isfinite(variance):
        return dof
    share = variance / (variance + exact) if variance > 0 else 0.0
    return dof / (share * share) if share > 0 else math.inf


def _clustered_variance(values: Floats, clusters: Ints) -> float:
    n = len(values)
    sums = np.bincount(clusters, values - float(values.mean()))
    residuals: Floats = sums / (1 - np.bincount(clusters) / n)
    return (len(sums) - 1) / len(sums) * float(residuals @ residuals) / n**2


def paired_proportions_interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """The interval of the difference of two proportions on the same n items.

    Args:
        gained: items wrong before and right after.
        lost: items right before and wrong after.
        n: all items.

    The score interval: all differences that a score test with the restricted maximum-likelihood estimate does not
    reject. T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-
    sample design", 1998. It has a width even when nothing differs.
    """

    def score(delta: float) -> float:
        return paired_proportions_score(gained, lost, n, delta)

    difference = (gained - lost) / n
    lower = bisect(lambda delta: score(delta) - Z > 0, -1.0, difference, halvings=60)
    upper = bisect(lambda delta: score(delta) + Z > 0, difference, 1.0, halvings=60)
    return -1.0 if lost == n else sum(lower) / 2, 1.0 if gained == n else sum(upper) / 2


def paired_proportions_score(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's score statistic: how many standard errors the difference of two paired proportions is above `delta`.

    Args:
        gained: items wrong before and right after.
        lost: items right before and wrong after.
        n: all items.
        delta: the difference in truth under the hypothesis, -1 to 1.
    """
    a = 2 * n
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    p21 = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * p21 + delta * (1 - delta))
    top = gained - lost - n * delta
    if variance <= 0:
        return 0.0 if top == 0 else math.copysign(math.inf, top)
    return top / math.sqrt(variance)


def reconcile(
    value: float, ends: tuple[float, float], p: float, interval_p: float, *, level: float = 0.05
) -> tuple[float, float, float]:
    """Make an interval and a p agree: the interval leaves 0 out exactly when p is below `level`.

    The two come from different tests: the exact one of no difference at all, and the one that the interval inverts. A
    difference is beyond chance when both reject it. So an interval whose exact test does not reject reaches to 0, and p is
    the larger one where only the exact test rejects. Both changes are to the safe side.

    Args:
        value: the difference.
        ends: of its interval.
        p: of the exact test.
        interval_p: the p of the test that the interval inverts; at least `level` when it holds 0.
        level: one minus the interval's level.

    Returns:
        Both ends and p.
    """
    low, high = min(ends[0], value), max(ends[1], value)
    if low <= 0 <= high:
        return low, high, p if p >= level else max(interval_p, level)
    if p >= level:
        return min(low, 0.0), max(high, 0.0), p
    return low, high, p


def bisect(holds: Callable[[float], bool], low: float, high: float, *, halvings: int) -> tuple[float, float]:
    """Narrow down where a condition that holds at `low` stops holding: a point where it holds, one where it does not."""
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high
