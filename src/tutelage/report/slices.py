"""Scores by a column's values as tables, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import ALPHA, wording
from tutelage.comparison.slices import FEW
from tutelage.report import formatting

HEAD = ("Items", "Base", "Tuned", "95 % interval", "Difference", "95 % interval", "p, adjusted", "")


@dataclass(frozen=True, slots=True)
class SliceTable:
    """The slices of a task by one column: a row for each value, and what to keep in mind of them in a sentence."""

    column: str
    metric: str
    rows: tuple[tuple[str, ...], ...]
    note: str


def slice_tables(slices: Mapping[str, Any] | None) -> tuple[SliceTable, ...]:
    """Make the tables of a task's `slices` of results.json; none where it has no slices."""
    if not slices:
        return ()
    metric = slices["metric"]
    return tuple(
        SliceTable(
            formatting.plain(column),
            wording.metric_label(metric),
            tuple(_row(metric, value, one) for value, one in content["values"].items()),
            _note(slices["tests"], content),
        )
        for column, content in slices["columns"].items()
    )


def _row(metric: str, value: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    base, tuned, difference = one["base"], one["tuned"], one["difference"]
    p = difference["p_adjusted"]

    def ends(score: Mapping[str, Any], *, sign: bool = False) -> str:
        return " to ".join(wording.format_score(metric, score[end], sign=sign) for end in ("low", "high"))

    return (
        formatting.plain(value),
        str(difference["n"]),
        wording.format_score(metric, base["value"]),
        wording.format_score(metric, tuned["value"]),
        ends(tuned),
        wording.format_score(metric, difference["value"], sign=True),
        ends(difference, sign=True),
        wording.format_p(p),
        _word(metric, difference),
    )


def _word(metric: str, difference: Mapping[str, Any]) -> str:
    """Few items, better, worse; nothing where chance is not excluded."""
    words = ["few items"] if difference["n"] < FEW else []
    if difference["p_adjusted"] < ALPHA and wording.metric_wording(metric).better in ("higher", "lower"):
        rose = difference["value"] > 0
        words.append("better" if rose == wording.metric_wording(metric).higher_is_better else "worse")
    return ", ".join(words)


def _note(tests: int, content: Mapping[str, Any]) -> str:
    small = sum(one["difference"]["n"] < FEW for one in content["values"].values())
    sentences = [
        f"p is adjusted (Holm) for the {tests} slices of this task; intervals are not, so of 20 about one is off by chance",
        *([f"{small} of them, of fewer than {FEW} items, can say little"] if small else []),
        *([f"{content['left_out']} items of rarer values are not shown"] if content["left_out"] else []),
    ]
    return "; ".join(sentences) + "."
