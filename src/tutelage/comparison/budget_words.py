"""Within budget, over it, or cannot tell: what may be said of a loss and the budget that a recipe states for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.comparison.budgets import exceeds, undetected_loss
from tutelage.comparison.task_comparison import TaskComparison
from tutelage.metrics.stats.intervals import Z
from tutelage.metrics.stats.paired_tests import POWER_80

Z_NEEDED = 1.6448536269514722 + POWER_80
"""How many standard errors show something one-sided at 5 % with 80 % power."""
MIN_ITEMS = 300
"""So many items over the budget in points exclude a loss above it when nothing at all is lost: the rule of three."""

Word = Literal["within", "over", "cannot tell"]


@dataclass(frozen=True, slots=True)
class BudgetWord:
    """A watched benchmark against its budget.

    Attributes:
        points: the loss that is allowed.
        word: within: a loss above it is excluded; over: it lost more, not by chance; else cannot tell.
        items: where it cannot be told, about how many items would show that the loss is within budget; None if the observed loss is
            not below it.
    """

    points: float
    word: Word
    items: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The word as in results.json."""
        return {"points": self.points, "word": self.word, **({"items": self.items} if self.items else {})}


def budget_word(comparison: TaskComparison, budget: float) -> BudgetWord:
    """Judge a watched benchmark by the budget that the recipe states for it."""
    loss = comparison.loss_points
    if comparison.excludes_loss_above(budget):
        return BudgetWord(budget, "within")
    if comparison.worsened and (loss is None or exceeds(loss, budget)):
        return BudgetWord(budget, "over")
    worst, difference = comparison.worst_loss_points, comparison.primary_difference
    if loss is None or worst is None:
        return BudgetWord(budget, "cannot tell")
    needed = items_needed(difference.independent, loss, worst - loss, budget)
    return BudgetWord(budget, "cannot tell", needed)


def items_needed(n: int, loss: float, reach: float, budget: float) -> int | None:
    """How many items would show with 80 % power that a loss is within budget, if it is as observed.

    The usual normal approximation: (1.645 + 0.842) standard errors have to fit between loss and budget.

    Args:
        n: items that were asked.
        loss: the observed loss in points.
        reach: from the loss to the worse end of its 95 % interval.
        budget: the loss that is allowed.

    Returns:
        The number; None when the observed loss is not below the budget.
    """
    margin = budget - loss
    if margin <= 0 or budget <= 0:
        return None
    return math.ceil(max(n * (Z_NEEDED * reach / Z / margin) ** 2, MIN_ITEMS / budget))


def excluded_loss(comparison: TaskComparison) -> float | None:
    """The loss in points above which all is excluded, by the interval and by the number of items; None without a scale of 0 to 100."""
    loss, worst, difference = (
        comparison.loss_points,
        comparison.worst_loss_points,
        comparison.primary_difference,
    )
    if loss is None or worst is None:
        return None
    return max(worst, undetected_loss(difference.independent, -loss), 0.0)
