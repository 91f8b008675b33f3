"""The log-probability of right answers, item by item, and how much of it another model loses: a loss in nats.

Of an item it is the log of the share that the right choices have of the probability of all its choices, with log-probabilities summed over
a choice's tokens (not per token): the log of the item's `reference_probability`, and less its cross-entropy. What is lost is one model's less the
other's on the same item, as a mean over items that all weigh the same. A drift shows in it before an answer changes, and from every item;
a change of style that makes all choices less likely alike does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.stats import intervals
from tutelage.metrics.stats.arrays import Floats, Ints

MIN_ITEMS = 30
"""With fewer items Student's test may take skewed losses for normal ones: then no loss is excluded."""
_LEAST_SURPRISE = 1.0
"""Nats that an item could lose at least, for what unchanged items leave open."""


@dataclass(frozen=True, slots=True, eq=False)
class AnswerLogProbabilities:
    """One model's log-probability of each item's right answer.

    Attributes:
        items: nats, 0 or less, float64 of shape (n,).
        clusters: int64 of shape (n,), the number of each item's cluster; None when items are independent.
    """

    items: Floats
    clusters: Ints | None = None


@dataclass(frozen=True, slots=True)
class NatsLoss:
    """The mean loss of the right answers' log-probability.

    Attributes:
        base, tuned: the mean log-probability under both models, in nats.
        value: the loss, base minus tuned; negative for a gain.
        low, high: of its 95 % interval.
        p: two-sided, of no change.
        n: independent items.
        error: the standard error of the loss.
        dof: its degrees of freedom.
        skewness: of the independent items' losses, 0 or more: a few large losses among many small ones.
        p_adjusted: p adjusted for all losses in nats that are judged together; p itself where there is one.
    """

    base: float
    tuned: float
    value: float
    low: float
    high: float
    p: float
    n: int
    error: float
    dof: float
    skewness: float
    p_adjusted: float

    def p_of_at_least(self, budget: float) -> float:
        """The one-sided p of the hypothesis that at least `budget` nats were lost: Student's paired t-test, corrected for skewness.

        Rare large losses are easily missed by a sample, so that plain t would exclude too much. The correction is the monotone one of
        P. Hall, "On the removal of skewness by transformation", 1992.
        """
        t, skew = (self.value - budget) / self.error, self.skewness / math.sqrt(self.n)
        corrected = t + skew * t * t / 3 + skew * skew * t**3 / 27 + skew / 6
        return intervals.t_tail(-max(t, corrected), self.dof)


def loss_in_nats(base: AnswerLogProbabilities, tuned: AnswerLogProbabilities) -> NatsLoss:
    """The mean loss of log-probability from one model to another on the same items.

    Raises:
        InputError: a right answer has probability 0 under one of them, so that no mean exists.
    """
    losses = base.items - tuned.items
    impossible = int((~np.isfinite(losses)).sum())
    if impossible:
        raise InputError(
            "right answers have probability 0, so that no mean loss in nats exists",
            where="retain",
            found=f"{impossible} of {len(losses)} items",
            expected="a probability above 0 of every right answer",
            fix="state the budget in points",
        )
    means = float(base.items.mean()), float(tuned.items.mean())
    largest = max(_LEAST_SURPRISE, *(-mean for mean in means))
    error, dof = intervals.mean_change_error(losses, base.clusters, largest=largest)
    value, half = float(losses.mean()), intervals.t_quantile(dof) * error
    p = intervals.t_test(value, error, dof)
    units = (
        losses if base.clusters is None else np.bincount(base.clusters, losses) / np.bincount(base.clusters)
    )
    return NatsLoss(
        *means,
        value,
        value - half,
        value + half,
        p,
        len(units),
        error,
        dof,
        _positive_skewness(units),
        p_adjusted=p,
    )


def _positive_skewness(losses: Floats) -> float:
    """The skewness of losses, 0 where it is negative or nothing varies."""
    deviations = losses - losses.mean()
    spread = float(np.sqrt(np.mean(deviations**2)))
    return max(0.0, float(np.mean(deviations**3)) / spread**3) if spread > 0 else 0.0
