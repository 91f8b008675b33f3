"""The search of scales of results.json as a table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import wording
from tutelage.report import formatting
from tutelage.report.chart import Scale, fitted

MAX_CHARTS = 3


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A scale of the tuned change.

    Attributes:
        scale: as the recipe has it.
        state: what became of it: delivered, within budget, not within budget, or not tried.
        gain: points on validation rows, "" where it was not measured.
        losses: for each benchmark loss, interval and p, "" where they were not measured.
    """

    scale: str
    state: str
    gain: str
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CandidatePoint:
    """A candidate within budget in the chart of gain against loss: its place and its intervals, in percent."""

    scale: str
    chosen: bool
    x: tuple[float, float, float]
    y: tuple[float, float, float]
    text: str


@dataclass(frozen=True, slots=True)
class GainChart:
    """Gain against the loss on one benchmark.

    Attributes:
        name: the benchmark.
        x: the loss in points.
        y: the gain in points.
        budget: where the budget is, in percent.
        points: the candidates whose loss and gain were both measured.
    """

    name: str
    x: Scale
    y: Scale
    budget: float
    points: tuple[CandidatePoint, ...]


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
        name: test["budget"] for candidate in tested.values() for name, test in candidate["losses"].items()
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
    benchmarks = tuple(f"{formatting.plain(name)} (budget {budget:g})" for name, budget in budgets.items())
    charts = tuple(_chart(name, protection) for name in list(budgets)[:MAX_CHARTS])
    return SearchTable(protection["sentence"], benchmarks, tuple(rows), charts)


def _chart(name: str, protection: Mapping[str, Any]) -> GainChart:
    measured = [
        (candidate, candidate["losses"][name], candidate["gain"])
        for candidate in protection["candidates"]
        if candidate.get("gain") is not None
    ]
    budget = protection["candidates"][0]["losses"][name]["budget"]
    x = fitted([0.0, budget, *(test[end] for _, test, _ in measured for end in ("low", "high"))])
    y = fitted([0.0, *(gain[end] for _, _, gain in measured for end in ("low", "high"))])
    points = tuple(
        CandidatePoint(
            f"{candidate['scale']:g}",
            candidate["scale"] == protection["chosen"],
            (x.at(test["loss"]), x.at(test["low"]), x.at(test["high"])),
            (100 - y.at(gain["value"]), 100 - y.at(gain["low"]), 100 - y.at(gain["high"])),
            f"at {candidate['scale']:g} gain {wording.format_number(gain['value'])}, loss {wording.format_number(test['loss'])}",
        )
        for candidate, test, gain in measured
    )
    return GainChart(formatting.plain(name), x, y, x.at(budget), points)


def _state(scale: float, candidate: Mapping[str, Any] | None, chosen: float | None) -> str:
    if candidate is None:
        return "not tried"
    if scale == chosen:
        return "delivered"
    return "within budget" if candidate["within"] else "not within budget"


def _gain(scale: float, candidate: Mapping[str, Any] | None, full_gain: Mapping[str, float]) -> str:
    gain = None if candidate is None else candidate.get("gain")
    if gain is None and scale == 1:
        gain = full_gain
    if gain is None:
        return ""
    value, low, high = (wording.format_number(gain[key], sign=True) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _loss(candidate: Mapping[str, Any] | None, name: str) -> str:
    if candidate is None:
        return ""
    test = candidate["losses"][name]
    loss, low, high = (wording.format_number(test[key]) for key in ("loss", "low", "high"))
    return f"{loss} ({low} to {high}), p {formatting.probability(test['p']).text}"
