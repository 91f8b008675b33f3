"""A benchmark against a budget in nats: within, over, or cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tutelage.comparison.budgets import Nats, exceeds
from tutelage.comparison.items_needed import Word, items_needed
from tutelage.comparison.task_comparison import ALPHA
from tutelage.comparison.wording import format_nats
from tutelage.metrics.answer_log_probability import MIN_ITEMS, NatsLoss


@dataclass(frozen=True, slots=True)
class NatsWord:
    """A watched benchmark against a budget in nats.

    Attributes:
        nats: the loss that is allowed.
        word: within: a loss above it is excluded; over: it lost more, not by chance; else cannot tell.
        loss: what was lost.
        items: where it cannot be told, about how many items would show that the loss is within budget; None if the observed loss is
            not below it.
    """

    nats: float
    word: Word
    loss: NatsLoss
    items: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The word as in results.json."""
        names = ("base", "tuned", "low", "high", "p", "p_adjusted", "n")
        numbers = {"loss": self.loss.value, **{name: getattr(self.loss, name) for name in names}}
        items = {"items": self.items} if self.items else {}
        return {"nats": self.nats, "word": self.word, **items, **numbers}


def nats_word(loss: NatsLoss, budget: Nats) -> NatsWord:
    """Judge a loss in nats by the budget that the recipe states for it."""
    allowed = budget.amount
    if loss.n >= MIN_ITEMS and not exceeds(loss.high, allowed):
        return NatsWord(allowed, "within", loss)
    if lost_nats(loss) and exceeds(loss.value, allowed):
        return NatsWord(allowed, "over", loss)
    needed = items_needed(loss.n, loss.value, loss.high - loss.value, allowed, least=MIN_ITEMS)
    return NatsWord(allowed, "cannot tell", loss, needed)


def lost_nats(loss: NatsLoss) -> bool:
    """Whether something was lost, not by chance."""
    return loss.p_adjusted < ALPHA and loss.low > 0


def nats_facts(word: NatsWord) -> list[str]:
    """The loss and its budget in words for a sentence."""
    loss = word.loss
    needed = [f"about {word.items:,} items would settle it"] if word.items is not None else []
    return [
        f"the right answers lost {format_nats(loss.value)} nats an item",
        f"95 % interval {format_nats(loss.low)} to {format_nats(loss.high)}",
        f"budget {word.nats:g} nats",
        *needed,
    ]
