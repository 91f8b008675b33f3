"""The search of scales of results.json as a table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.comparison import wording
from tutelage.report import formatting
from tutelage.report.chart import Scale, fitted

MAX_CHARTS = 3


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A scale of the tuned change.

    Attributes:
        scale: as the recipe has it.
        state: what became of it: delivered, within budget, not within budget, which parts fell, or not tried.
        gain: points on validation rows, "" where it was not measured.
        losses: for each benchmark loss, interval and p, "" where they were not measured.
    """

    scale: str
    state: str
    gain: str
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CandidatePoint:
    """A scale in the chart of gain against loss: where its loss (x) and gain (y) are with their intervals, in percent.

    Attributes:
        scale: as the recipe has it.
        kind: delivered; within: tested and within budget; part: hollow, not within budget or not tried.
        x: the loss; None where it was not measured: the mark is then on the axis of gains.
        y: the gain; None where it was not measured: the mark is then on the axis of losses.
        text: the numbers for people who do not see the chart.
    """

    scale: str
    kind: Literal["delivered", "within", "part"]
    x: tuple[float, float, float] | None
    y: tuple[float, float, float] | None
    text: str


@dataclass(frozen=True, slots=True)
class GainChart:
    """Gain against the loss on one benchmark.

    Attributes:
        name: the benchmark.
        x: the loss in points.
        y: the gain in points.
        budget: where the budget is, in percent.
        points: the scales of which loss or gain was measured.
        not_tried: the scales of which neither was, as text; "" where there is none.
        unit: of the loss.
    """

    name: str
    x: Scale
    y: Scale
    budget: float
    points: tuple[CandidatePoint, ...]
    not_tried: str
    unit: str


@dataclass(frozen=True, slots=True)
class SearchTable:
    """The search: its outcome in a sentence, the benchmarks with their budgets, a row for each scale, and a chart for each benchmark."""

    sentence: str
    benchmarks: tuple[str, ...]
    rows: tuple[CandidateRow, ...]
    charts: tuple[GainChart, ...]


def search_table(protection: Mapping[str, Any] | None) -> SearchTable | None:
    """Make the table; None for results without a search.

    Args:
        protection: of results.json.
    """
    if not protection:
        return None
    tested = {candidate["scale"]: candidate for candidate in protection["candidates"]}
    budgets = {
        name: f"{test['budget']:g}" + (" nats" if _in_nats(test) else "")
        for candidate in tested.values()
        for name, test in candidate["losses"].items()
    }
    rows = []
    for scale in protection["path"]:
        candidate = tested.get(scale)
        rows.append(
            CandidateRow(
                f"{scale:g}",
                _state(scale, candidate, protection["chosen"]),
                _gain(scale, candidate, protection["full_gain"]),
                tuple(_loss(candidate, name) for name in budgets),
            )
        )
    benchmarks = tuple(f"{formatting.plain(name)} (budget {budget})" for name, budget in budgets.items())
    charts = tuple(_chart(name, protection) for name in list(budgets)[:MAX_CHARTS])
    return SearchTable(protection["sentence"], benchmarks, tuple(rows), charts)


def _chart(name: str, protection: Mapping[str, Any]) -> GainChart:
    tested = {candidate["scale"]: candidate for candidate in protection["candidates"]}
    losses = {scale: candidate["losses"][name] for scale, candidate in tested.items()}
    gains = {
        scale: gain
        for scale in protection["path"]
        if (gain := _measured_gain(scale, tested.get(scale), protection["full_gain"])) is not None
    }
    budget = protection["candidates"][0]["losses"][name]["budget"]
    x = fitted([0.0, budget, *(test[end] for test in losses.values() for end in ("low", "high"))])
    y = fitted([0.0, *(gain[end] for gain in gains.values() for end in ("low", "high"))])
    points, not_tried = [], []
    for scale in protection["path"]:
        test, gain = losses.get(scale), gains.get(scale)
        if test is None and gain is None:
            not_tried.append(f"{scale:g}")
            continue
        within = scale in tested and tested[scale]["within"]
        points.append(
            CandidatePoint(
                f"{scale:g}",
                "delivered" if scale == protection["chosen"] else "within" if within else "part",
                None if test is None else (x.at(test["loss"]), x.at(test["low"]), x.at(test["high"])),
                None
                if gain is None
                else (100 - y.at(gain["value"]), 100 - y.at(gain["low"]), 100 - y.at(gain["high"])),
                _point_text(scale, gain, test),
            )
        )
    unit = "nats an item" if any(map(_in_nats, losses.values())) else "points"
    return GainChart(formatting.plain(name), x, y, x.at(budget), tuple(points), ", ".join(not_tried), unit)


def _point_text(scale: float, gain: Mapping[str, float] | None, test: Mapping[str, Any] | None) -> str:
    gain_words = "gain not measured" if gain is None else f"gain {wording.format_number(gain['value'])}"
    loss_words = "loss not measured" if test is None else f"loss {_loss_number(test, 'loss')}"
    return f"at {scale:g} {gain_words}, {loss_words}"


def _state(scale: float, candidate: Mapping[str, Any] | None, chosen: float | None) -> str:
    if candidate is None:
        return "not tried"
    if scale == chosen:
        return "delivered"
    if candidate["within"]:
        return "within budget"
    losses = candidate["losses"].values()
    fell = ", ".join(formatting.plain(part) for test in losses for part in test.get("fell", ()))
    return "not within budget" if not all(test["within"] for test in losses) else f"fell: {fell}"


def _gain(scale: float, candidate: Mapping[str, Any] | None, full_gain: Mapping[str, float]) -> str:
    gain = _measured_gain(scale, candidate, full_gain)
    if gain is None:
        return ""
    value, low, high = (wording.format_number(gain[key], sign=True) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _measured_gain(
    scale: float, candidate: Mapping[str, Any] | None, full_gain: Mapping[str, float]
) -> Mapping[str, float] | None:
    """A scale's gain; that of the whole change is always measured."""
    gain: Mapping[str, float] | None = None if candidate is None else candidate.get("gain")
    return full_gain if gain is None and scale == 1 else gain


def _in_nats(test: Mapping[str, Any]) -> bool:
    return test.get("unit") == "nats"


def _loss_number(test: Mapping[str, Any], key: str) -> str:
    """A number of a loss test with as many decimals as its unit takes."""
    return wording.format_nats(test[key]) if _in_nats(test) else wording.format_number(test[key])


def _loss(candidate: Mapping[str, Any] | None, name: str) -> str:
    if candidate is None:
        return ""
    test = candidate["losses"][name]
    loss, low, high = (_loss_number(test, key) for key in ("loss", "low", "high"))
    return f"{loss} ({low} to {high}), p {formatting.probability(test['p']).text}"
