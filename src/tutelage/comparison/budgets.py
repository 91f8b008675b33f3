"""Losses against budgets: when one is over, and when a sample excludes that there is one.

Budgets are decimal numbers, losses binary ones: 10 of 200 items lost is 5.000000000000004 points. The mean of n values
between -1 and 1 is off by at most log2(n) + 1 roundings of 2**-53, and the difference of two such means on a scale of
100 by less than 1e-12 at any n that fits a disk. A true excess of k / n over a budget with two decimals is at least 1e-8 at
a million items. `ROUNDING` lies between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from tutelage.core.errors import InputError

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Nats:
    """A budget in nats: the mean loss of the right answers' log-probability, an item, that is allowed."""

    amount: float


Budget = float | Nats
"""The loss that is allowed: a number is points of 0 to 100."""


def exceeds(points: float, budget: float) -> bool:
    """Whether a loss in points is above the budget, by more than rounding."""
    return points > budget + ROUNDING


def undetected_loss(n: int, gain: float) -> float:
    """The loss in points that n items cannot exclude, whatever they show, because other items may be unlike them.

    The rule of three: when none of n items loses everything, up to about 3 / n of all items still may, at 95 %
    (J. Hanley, A. Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983). A gain makes up for it.

    Args:
        n: independent items.
        gain: the change in points toward better; a loss is in the interval already.
    """
    return 100 * (1 - 0.05 ** (1 / n)) - max(gain, 0.0) if n > 0 else 100.0


def no_log_probabilities(name: str, reason: str) -> InputError:
    """The error for a budget in nats of a benchmark whose right answers have no log-probability."""
    return InputError(
        "a budget in nats for answers without likelihoods",
        where=f"retain.{name}",
        found=reason,
        expected="a benchmark whose answers are choices, each with its likelihood",
        fix=f"write a number of points, such as  {name}: 5.0, or watch another benchmark or way, such as mmlu:cloze",
    )
