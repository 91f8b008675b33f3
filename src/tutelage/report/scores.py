"""The scores of results.json as rows of charts and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.comparison import ALPHA, DEFAULT_BUDGET
from tutelage.comparison import wording as words
from tutelage.comparison.budgets import exceeds, undetected_loss
from tutelage.report import formatting
from tutelage.report.caveats import sentences
from tutelage.report.chart import HUNDRED, Scale, fitted
from tutelage.report.formatting import Number

Moved = Literal["rose", "fell", "open", "untested"]


@dataclass(frozen=True, slots=True)
class Side:
    """One model's score: the numbers, and where value and interval stand on the chart in percent."""

    value: Number
    low: Number
    high: Number
    n: int
    at: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One metric of one task, benchmark or part, on base and tuned.

    `moved` says what may be said of the difference: better or worse beyond chance, open, or untested (not the primary
    metric). `zone` is, for something watched, the stretch of the chart that the budget allows to lose; `independent` how
    many independent items there are.
    """

    name: str
    metric: str
    words: words.MetricWording
    primary: bool
    base: Side
    tuned: Side
    difference: tuple[Number, Number, Number]
    p: Number
    p_adjusted: Number | None
    detectable: Number | None
    moved: Moved
    zone: tuple[float, float] | None = None
    independent: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """One task or benchmark: the rows of its metrics, the primary one first, and of its parts, on one scale."""

    name: str
    watched: bool
    rows: tuple[ScoreRow, ...]
    parts: tuple[ScoreRow, ...]
    scale: Scale
    budget: float | None
    budget_is_stated: bool
    told: tuple[str, ...] = ()

    @property
    def main(self) -> ScoreRow:
        """The primary metric."""
        return self.rows[0]

    @property
    def lost(self) -> Number | None:
        """How much was lost, None when nothing was or there is no scale for it."""
        return self._as_loss(self.main.difference[0])

    @property
    def worst(self) -> Number | None:
        """The largest loss that the interval leaves possible, None when it leaves none or there is no scale for it."""
        return self._as_loss(self.main.difference[1 if self.main.words.higher_is_better else 2])

    @property
    def within(self) -> bool:
        """Whether the interval leaves no loss above the budget possible."""
        return self.budget is not None and (
            self.worst is None or not exceeds(_points(self, self.worst), self.budget)
        )

    @property
    def too_few(self) -> bool:
        """Whether so few items cannot exclude a loss above the budget, whatever they show."""
        change = words.display_value(self.main.metric, self.main.difference[0].raw)
        toward = change if self.main.words.higher_is_better else -change
        return self.budget is not None and exceeds(
            undetected_loss(self.main.independent, toward), self.budget
        )

    def _as_loss(self, change: Number) -> Number | None:
        lost = change.raw < 0 if self.main.words.higher_is_better else change.raw > 0
        if self.budget is None or not lost:
            return None
        return Number(change.raw, formatting.score(self.main.metric, abs(change.raw)).text)


def _points(one: Measured, loss: Number) -> float:
    return words.display_value(one.main.metric, abs(loss.raw))


def measured(group: Mapping[str, Any], *, watched: bool, budgets: Mapping[str, float]) -> list[Measured]:
    """The tasks or the watched benchmarks of results.json."""
    return [_measured(name, outcome, watched=watched, budgets=budgets) for name, outcome in group.items()]


def _measured(
    name: str, outcome: Mapping[str, Any], *, watched: bool, budgets: Mapping[str, float]
) -> Measured:
    primary: str = outcome["primary"]
    metrics = [primary, *(metric for metric in outcome["base"] if metric != primary)]
    on_hundred = [metric for metric in metrics if words.metric_wording(metric).points is not None]
    scales = {metric: HUNDRED if metric in on_hundred else _own_scale(metric, outcome) for metric in metrics}
    budget = budgets.get(name, DEFAULT_BUDGET) if watched and primary in on_hundred else None
    return Measured(
        name=name,
        watched=watched,
        rows=tuple(
            _row(name, metric, outcome, scales[metric], budget if metric == primary else None)
            for metric in metrics
        ),
        parts=tuple(
            _row(part, inner["primary"], inner, scales[primary], None)
            for part, inner in outcome.get("parts", {}).items()
            if inner["primary"] == primary
        ),
        scale=scales[primary],
        budget=budget,
        budget_is_stated=name in budgets,
        told=tuple(sentences(outcome.get("told", {}))),
    )


def _own_scale(metric: str, outcome: Mapping[str, Any]) -> Scale:
    parts: Iterable[Mapping[str, Any]] = outcome.get("parts", {}).values()
    sides = [one[side].get(metric) for one in (outcome, *parts) for side in ("base", "tuned")]
    return fitted([value[end] for value in sides if value for end in ("value", "low", "high")])


def _row(name: str, metric: str, outcome: Mapping[str, Any], scale: Scale, budget: float | None) -> ScoreRow:
    told = words.metric_wording(metric)
    difference = outcome["difference"][metric]
    base = _side(metric, outcome["base"][metric], scale)
    adjusted = difference.get("p_adjusted")
    detectable = difference.get("detectable")
    zone = None
    if budget is not None:
        start = words.display_value(metric, outcome["base"][metric]["value"])
        ends = sorted(
            (scale.at(start), scale.at(start - budget if told.higher_is_better else start + budget))
        )
        zone = (ends[0], round(ends[1] - ends[0], 3))
    return ScoreRow(
        name=name,
        metric=metric,
        words=told,
        primary=metric == outcome["primary"],
        base=base,
        tuned=_side(metric, outcome["tuned"][metric], scale),
        difference=(
            formatting.score(metric, difference["value"], sign=True),
            formatting.score(metric, difference["low"], sign=True),
            formatting.score(metric, difference["high"], sign=True),
        ),
        p=formatting.probability(difference["p"]),
        p_adjusted=None if adjusted is None else formatting.probability(adjusted),
        detectable=None if detectable is None else formatting.score(metric, detectable),
        moved=_moved(difference, higher_is_better=told.higher_is_better),
        zone=zone,
        independent=difference.get("units", difference.get("n", base.n)),
    )


def _side(metric: str, score: Mapping[str, Any], scale: Scale) -> Side:
    value, low, high = (score[end] for end in ("value", "low", "high"))
    at = [scale.at(words.display_value(metric, end)) for end in (value, low, high)]
    return Side(
        value=formatting.score(metric, value),
        low=formatting.score(metric, low),
        high=formatting.score(metric, high),
        n=score["n"],
        at=(at[0], at[1], at[2]),
    )


def _moved(difference: Mapping[str, Any], *, higher_is_better: bool) -> Moved:
    adjusted = difference.get("p_adjusted")
    if adjusted is None:
        return "untested"
    if adjusted >= ALPHA or difference["value"] == 0:
        return "open"
    return "rose" if (difference["value"] > 0) == higher_is_better else "fell"


def glossary(groups: Sequence[Measured]) -> list[words.MetricWording]:
    """The metrics on the page, each once."""
    found = {row.metric: row.words for one in groups for row in (*one.rows, *one.parts)}
    return [told for told in found.values() if told.explain]
