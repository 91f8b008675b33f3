"""Within budget, over it, or cannot tell: what may be said of a loss and the budget that a recipe states for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tutelage.comparison.budgets import Budget, Nats, exceeds, undetected_loss
from tutelage.comparison.items_needed import Word, items_needed
from tutelage.comparison.nats_words import NatsWord, nats_word
from tutelage.comparison.task_comparison import TaskComparison


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


def budget_word(comparison: TaskComparison, budget: Budget) -> BudgetWord | NatsWord:
    """Judge a watched benchmark by the budget that the recipe states for it."""
    if isinstance(budget, Nats):
        assert comparison.nats is not None  # measured where the budget is in nats
        return nats_word(comparison.nats, budget)
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
