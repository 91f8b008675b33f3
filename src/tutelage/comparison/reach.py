"""Reached, missed, or cannot tell: what may be said of a score and the target that a recipe states for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.comparison import wording
from tutelage.comparison.items_needed import Z_NEEDED
from tutelage.metrics import Score
from tutelage.metrics.stats.intervals import Z

Reached = Literal["reached", "missed", "cannot tell"]


@dataclass(frozen=True, slots=True)
class ReachWord:
    """A score of the tuned model against its target; all numbers in points of 0 to 100.

    Attributes:
        metric: the metric.
        points: what is to be reached: at least, or at most where less is better.
        value: the score.
        low: the lower end of its 95 % interval.
        high: the upper end.
        word: reached: the whole interval is on the target's side; missed: it is on the other; else cannot tell.
        items: where it cannot be told, about how many items would show that the target is reached; None if the score does not reach it.
    """

    metric: str
    points: float
    value: float
    low: float
    high: float
    word: Reached
    items: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The word as in results.json, under `tasks.NAME.reach.METRIC`."""
        numbers = {"points": self.points, "value": self.value, "low": self.low, "high": self.high}
        return {**numbers, "word": self.word, **({"items": self.items} if self.items else {})}


def reach_word(metric: str, score: Score, points: float) -> ReachWord:
    """Judge a score by the target that the recipe states for its metric.

    Args:
        metric: one on a scale of 0 to 100 that gets better toward one of its ends.
        score: the tuned model's.
        points: the target.
    """
    value, low, high = (
        wording.display_value(metric, number) for number in (score.value, score.low, score.high)
    )
    sign = 1 if wording.metric_wording(metric).higher_is_better else -1
    worse, better = sorted((sign * low, sign * high))
    word: Reached = "cannot tell"
    if worse >= sign * points:
        word = "reached"
    elif better < sign * points:
        word = "missed"
    margin = sign * (value - points)
    items = None
    if word == "cannot tell" and margin > 0:
        items = math.ceil(score.n * (Z_NEEDED * (sign * value - worse) / Z / margin) ** 2)
    return ReachWord(metric, points, value, low, high, word, items)


def from_json(metric: str, target: Mapping[str, Any]) -> ReachWord:
    """Read a target back as `ReachWord.as_json` gives it."""
    points, value, low, high = (float(target[key]) for key in ("points", "value", "low", "high"))
    return ReachWord(metric, points, value, low, high, target["word"], target.get("items"))


def sentence(name: str, reach: ReachWord) -> str:
    """Say of one target whether a task reaches it."""
    words, number = wording.metric_wording(reach.metric), wording.format_number
    bound = "at least" if words.higher_is_better else "at most"
    numbers = (
        f"{words.phrase}: {number(reach.value)} of 100, 95 % interval {number(reach.low)} to {number(reach.high)}; "
        f"the recipe asks for {bound} {number(reach.points)}"
    )
    if reach.word == "cannot tell":
        needed = f"; about {reach.items:,} items would settle it" if reach.items else ""
        return f"Whether {name} reaches its target is not clear ({numbers}{needed})."
    return f"{name} {'reaches' if reach.word == 'reached' else 'misses'} its target ({numbers})."
