"""The search of scales of results.json as a table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import wording
from tutelage.report import formatting


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
class SearchTable:
    """The search: its outcome in a sentence, the benchmarks with their budgets, and a row for each scale."""

    sentence: str
    benchmarks: tuple[str, ...]
    rows: tuple[CandidateRow, ...]


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
    return SearchTable(protection["sentence"], benchmarks, tuple(rows))


def _state(scale: float, candidate: Mapping[str, Any] | None, chosen: float | None) -> str:
    if candidate is None:
        return "not tried"
    if scale == chosen:
        return "delivered"
    return "within budget" if candidate["within"] else "not within budget"


def _gain(scale: float, candidate: Mapping[str, Any] | None, full_gain: float) -> str:
    gain = None if candidate is None else candidate.get("gain")
    if gain is None and scale == 1:
        gain = full_gain
    return "" if gain is None else wording.format_number(gain, sign=True)


def _loss(candidate: Mapping[str, Any] | None, name: str) -> str:
    if candidate is None:
        return ""
    test = candidate["losses"][name]
    loss, low, high = (wording.format_number(test[key]) for key in ("loss", "low", "high"))
    return f"{loss} ({low} to {high}), p {formatting.probability(test['p']).text}"
