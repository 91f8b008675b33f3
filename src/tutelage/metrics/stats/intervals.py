"""95 % intervals in closed form: proportions, means, clustered means, differences of paired proportions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Z = 1.959963984540054  # the normal distribution's 97.5 % point


def t_quantile(freedom: int) -> float:
    """Student's t distribution's 97.5 % point."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def wilson(right: float, n: int) -> tuple[float, float]:
    """The interval of a proportion of `right` in `n`.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if n == 0:
        return math.nan, math.nan
    share, extra = right / n, Z * Z / n
    centre = (share + extra / 2) / (1 + extra)
    half = Z / (1 + extra) * math.sqrt(share * (1 - share) / n + extra / (4 * n))
    return (0.0 if right == 0 else max(0.0, centre - half)), (1.0 if right == n else min(1.0, centre + half))


def mean(values: Floats, *, low: float = -math.inf, high: float = math.inf) -> tuple[float, float]:
    """The t interval of a mean of independent values that lie between `low` and `high`.

    Values that are all at the same end of the range say nothing by their spread: they get Wilson's interval, as if
    each were a right or wrong answer. One value alone gets the whole range.
    """
    n = len(values)
    if n == 0:
        return math.nan, math.nan
    if n == 1:
        return low, high
    centre, spread = float(values.mean()), float(values.std(ddof=1))
    if spread == 0.0 and math.isfinite(high - low) and centre in (low, high):
        a, b = wilson(n if centre == high else 0, n)
        return low + a * (high - low), low + b * (high - low)
    half = t_quantile(n - 1) * spread / math.sqrt(n)
    return max(low, centre - half), min(high, centre + half)


def clustered_mean(
    values: Floats, clusters: npt.NDArray[np.int64], *, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """The interval of a mean whose values come in clusters (rows about one document, answers to one question).

    The standard error sums the residuals by cluster (E. Miller, "Adding error bars to evals", 2024, section 2.2), each
    cluster's sum over the share of items outside it: the jackknife that leaves a cluster out (R. Bell, D. McCaffrey,
    "Bias reduction in standard errors for linear regression with multi-stage samples", 2002), because the plain sum
    is too small for few clusters of unequal size. Student's t has C - 1 degrees of freedom for C clusters.
    """
    n = len(values)
    if n == 0:
        return math.nan, math.nan
    centre = float(values.mean())
    sums = np.bincount(clusters, values - centre)
    count = len(sums)
    if count == 1:
        return low, high
    residuals: Floats = sums / (1 - np.bincount(clusters) / n)
    error = math.sqrt((count - 1) / count * float(residuals @ residuals)) / n
    if error == 0.0:
        return mean(np.full(count, centre), low=low, high=high)
    half = t_quantile(count - 1) * error
    return max(low, centre - half), min(high, centre + half)


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


def _crossing(f: Callable[[float], float], left: float, right: float) -> float:
    """Where a falling function crosses zero, by halving."""
    for _ in range(60):
        middle = (left + right) / 2
        if f(middle) > 0:
            left = middle
        else:
            right = middle
    return (left + right) / 2
