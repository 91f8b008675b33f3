"""The scores of results.json as charts and tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.comparison import ALPHA, DEFAULT_BUDGET, reach, wording
from tutelage.comparison.budgets import exceeds, undetected_loss
from tutelage.comparison.task_comparison import Estimate, gain
from tutelage.report import formatting
from tutelage.report.caveats import sentences
from tutelage.report.chart import HUNDRED, Scale, fitted
from tutelage.report.formatting import Number
from tutelage.report.lost_items import LostTable, lost_table
from tutelage.report.slices import SliceTable, slice_tables
from tutelage.results.name_marks import name_marks

Change = Literal["rose", "fell", "open", "untested"]
"""What may be said of a difference: better or worse beyond chance, open, or untested (not primary, or without direction)."""


@dataclass(frozen=True, slots=True)
class ModelScore:
    """One model's score, and where value, low and high are on the chart in percent."""

    value: Number
    low: Number
    high: Number
    n: int
    at: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One metric of one task, benchmark or part, of base and tuned model.

    Attributes:
        name: of the task, benchmark or part.
        metric: the metric's name.
        wording: the metric for people.
        primary: whether it is the primary metric.
        base, tuned: the scores.
        difference: tuned minus base, and its interval.
        p, p_adjusted: of the difference; not adjusted unless the metric is primary.
        minimum_detectable_effect: the smallest true difference that this many items detect with 80 % power.
        change: what may be said of the difference.
        budget_zone: of something watched, the start and width of what the budget allows to lose, in percent of the chart.
        independent: how many independent items there are.
    """

    name: str
    metric: str
    wording: wording.MetricWording
    primary: bool
    base: ModelScore
    tuned: ModelScore
    difference: tuple[Number, Number, Number]
    p: Number
    p_adjusted: Number | None
    minimum_detectable_effect: Number | None
    change: Change
    budget_zone: tuple[float, float] | None = None
    independent: int = 0

    @property
    def gain_at(self) -> float:
        """How far the chart's mark moved toward better values, in percent of its width."""
        moved = self.tuned.at[0] - self.base.at[0]
        return -moved if self.wording.better == "lower" else moved

    @property
    def goodness_at(self) -> float:
        """Where the tuned model's mark stands, in percent of the chart from the end of the worst values."""
        return 100 - self.tuned.at[0] if self.wording.better == "lower" else self.tuned.at[0]


@dataclass(frozen=True, slots=True)
class ScoreChart:
    """One task or benchmark: the rows of its metrics, the primary one first, and of its parts, on one scale.

    Attributes:
        name: of the task or benchmark.
        watched: whether it is watched for forgetting.
        rows: by metric, the primary metric first.
        parts: by part, of the primary metric.
        averages: over the parts, of the primary metric.
        scale: of the primary metric.
        budget: the loss in points that is allowed; None if none applies.
        budget_is_stated: whether the recipe states the budget.
        caveats: what a reader has to know about the scores.
        marks: what the name may not be shown without, such as " (sample)".
        nats: the loss against a budget in nats, in a sentence; "" where the budget is in points.
        lost_nats: whether there is such a loss, not by chance.
        changed_items: of a watched benchmark, what became of the items that turned wrong; None where nothing is known of them.
        targets: the scores against the targets that the recipe states, each in a sentence.
        untold: whether the base was never told the labels that the task answers with.
        slices: the scores by the values of columns.
    """

    name: str
    watched: bool
    rows: tuple[ScoreRow, ...]
    parts: tuple[ScoreRow, ...]
    averages: tuple[ScoreRow, ...]
    scale: Scale
    budget: float | None
    budget_is_stated: bool
    caveats: tuple[str, ...] = ()
    marks: str = ""
    nats: str = ""
    lost_nats: bool = False
    changed_items: LostTable | None = None
    targets: tuple[str, ...] = ()
    untold: bool = False
    slices: tuple[SliceTable, ...] = ()

    @property
    def main(self) -> ScoreRow:
        """The row of the primary metric."""
        return self.rows[0]

    @property
    def lost(self) -> Number | None:
        """The loss, None if nothing was lost or no budget applies."""
        return self._as_loss(self.main.difference[0])

    @property
    def worst(self) -> Number | None:
        """The largest loss in the interval, None if the interval has no loss or no budget applies."""
        return self._as_loss(self.main.difference[1 if self.main.wording.higher_is_better else 2])

    @property
    def within(self) -> bool:
        """Whether the interval excludes any loss above the budget."""
        if self.budget is None:
            return False
        return self.worst is None or not exceeds(self._points(abs(self.worst.raw)), self.budget)

    @property
    def too_few(self) -> bool:
        """Whether so few items cannot exclude a loss above the budget, whatever they show."""
        change = self._points(self.main.difference[0].raw)
        toward_better = change if self.main.wording.higher_is_better else -change
        return self.budget is not None and exceeds(
            undetected_loss(self.main.independent, toward_better), self.budget
        )

    def _points(self, value: float) -> float:
        return wording.display_value(self.main.metric, value)

    def _as_loss(self, difference: Number) -> Number | None:
        is_loss = difference.raw < 0 if self.main.wording.higher_is_better else difference.raw > 0
        if self.budget is None or not is_loss:
            return None
        return Number(difference.raw, formatting.score(self.main.metric, abs(difference.raw)).text)


def charts(outcomes: Mapping[str, Any], *, watched: bool, budgets: Mapping[str, Any]) -> list[ScoreChart]:
    """Make the charts of the tasks or of the watched benchmarks of results.json.

    Args:
        outcomes: `tasks` or `watched` of results.json.
        watched: which of these.
        budgets: the losses that the recipe allows: numbers are points.
    """
    return [_chart(name, outcome, watched=watched, budgets=budgets) for name, outcome in outcomes.items()]


def _chart(name: str, outcome: Mapping[str, Any], *, watched: bool, budgets: Mapping[str, Any]) -> ScoreChart:
    primary: str = outcome["primary"]
    metrics = [primary, *(metric for metric in outcome["base"] if metric != primary)]
    scales = {metric: _scale(metric, outcome) for metric in metrics}
    nats = _nats_sentence(outcome.get("budget", {}))
    inner = [
        _row(part, primary, part_outcome, scales[primary], None)
        for part, part_outcome in outcome.get("parts", {}).items()
        if part_outcome["primary"] == primary
    ]
    has_budget = watched and not nats and wording.budget_points(primary) is not None
    budget = budgets.get(name, DEFAULT_BUDGET) if has_budget else None
    return ScoreChart(
        name=name,
        watched=watched,
        rows=tuple(
            _row(name, metric, outcome, scales[metric], budget if metric == primary else None)
            for metric in metrics
        ),
        parts=tuple(row for row in inner if row.name not in wording.AVERAGES),
        averages=tuple(row for row in inner if row.name in wording.AVERAGES),
        scale=scales[primary],
        budget=budget,
        budget_is_stated=name in budgets,
        caveats=tuple(sentences(outcome.get("told", {}))),
        marks=name_marks(outcome.get("told", {})),
        nats=nats,
        lost_nats=bool(nats) and outcome["budget"]["p_adjusted"] < ALPHA and outcome["budget"]["low"] > 0,
        changed_items=lost_table(outcome.get("lost_items")),
        targets=tuple(
            reach.sentence(name, reach.from_json(metric, target))
            for metric, target in outcome.get("reach", {}).items()
        ),
        untold=bool(outcome.get("base_untold")),
        slices=slice_tables(outcome.get("slices")),
    )


def _nats_sentence(budget: Mapping[str, Any]) -> str:
    """A loss in nats against its budget; "" for a budget in points or none."""
    if "nats" not in budget:
        return ""
    loss, low, high = (wording.format_nats(budget[key]) for key in ("loss", "low", "high"))
    items = f"; about {budget['items']:,} items would settle it" if "items" in budget else ""
    return (
        f"The log-probability of the right answers fell by {loss} nats an item (95 % interval {low} to {high}, {budget['n']:,} items); "
        f"at most {budget['nats']:g} may be lost: {budget['word']}{items}."
    )


def _scale(metric: str, outcome: Mapping[str, Any]) -> Scale:
    """0 to 100 if people are shown the metric so; else a scale that covers all scores of the metric."""
    if wording.metric_wording(metric).points is not None:
        return HUNDRED
    parts: Iterable[Mapping[str, Any]] = outcome.get("parts", {}).values()
    scores = [each[side].get(metric) for each in (outcome, *parts) for side in ("base", "tuned")]
    return fitted([score[end] for score in scores if score for end in ("value", "low", "high")])


def _row(name: str, metric: str, outcome: Mapping[str, Any], scale: Scale, budget: float | None) -> ScoreRow:
    metric_wording = wording.metric_wording(metric)
    difference = outcome["difference"][metric]
    value, low, high = (
        formatting.score(metric, difference[end], sign=True) for end in ("value", "low", "high")
    )
    base = _model_score(metric, outcome["base"][metric], scale)
    adjusted, detectable = difference.get("p_adjusted"), difference.get("detectable")
    zone = None
    if budget is not None:
        points = wording.display_value(metric, base.value.raw)
        limit = points - budget if metric_wording.higher_is_better else points + budget
        start, end = sorted((scale.at(points), scale.at(limit)))
        zone = (start, round(end - start, 3))
    return ScoreRow(
        name=name,
        metric=metric,
        wording=metric_wording,
        primary=metric == outcome["primary"],
        base=base,
        tuned=_model_score(metric, outcome["tuned"][metric], scale),
        difference=(value, low, high),
        p=formatting.probability(difference["p"]),
        p_adjusted=None if adjusted is None else formatting.probability(adjusted),
        minimum_detectable_effect=None if detectable is None else formatting.score(metric, detectable),
        change=_change(metric, outcome),
        budget_zone=zone,
        independent=difference.get("units", difference.get("n", base.n)),
    )


def _model_score(metric: str, score: Mapping[str, Any], scale: Scale) -> ModelScore:
    value, low, high = (score[end] for end in ("value", "low", "high"))
    at = [scale.at(wording.display_value(metric, end)) for end in (value, low, high)]
    return ModelScore(
        value=formatting.score(metric, value),
        low=formatting.score(metric, low),
        high=formatting.score(metric, high),
        n=score["n"],
        at=(at[0], at[1], at[2]),
    )


def _change(metric: str, outcome: Mapping[str, Any]) -> Change:
    base, tuned, difference = (
        Estimate(*(outcome[key][metric][end] for end in Estimate._fields))
        for key in ("base", "tuned", "difference")
    )
    p, better = outcome["difference"][metric].get("p_adjusted"), gain(metric, base, tuned, difference)
    if p is None or better is None:
        return "untested"
    if p >= ALPHA or better.low <= 0 <= better.high:
        return "open"
    return "rose" if better.value > 0 else "fell"


def glossary(shown: Sequence[ScoreChart]) -> list[wording.MetricWording]:
    """List the metrics of charts that have an explanation, each once."""
    wordings = {row.metric: row.wording for chart in shown for row in (*chart.rows, *chart.parts)}
    return [each for each in wordings.values() if each.explain]
