"""Metrics and numbers in words for people: one place for the verdict, the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tutelage.core import yamltext
from tutelage.metrics.catalogue import Direction, catalogue

AVERAGES = ("micro", "macro")
"""Averages over a benchmark's parts, which stand among its parts under these names: they are no parts themselves."""
_LOWER = " (lower is better)"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class MetricWording:
    """A metric in words for people.

    Attributes:
        label: its name in tables.
        phrase: what it measures, as in "right answers rose from ...".
        points: what one unit of its value is on a scale of 0 to 100, None when it has no such scale.
        explain: what it means, in a sentence or two.
        better: which values are better.
        target: the best value where `better` is `target`.
    """

    label: str
    phrase: str
    points: float | None
    explain: str
    better: Direction = "higher"
    target: float | None = None

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better without limit."""
        return self.better == "higher"


def metric_wording(name: str) -> MetricWording:
    """The words for a metric; its options, as in `rouge1:stemmer=false`, are part of the label."""
    base, _, options = name.partition(":")
    entry = catalogue().get(base)
    if entry is None:
        return MetricWording(label=name, phrase=name, points=None, explain="")
    words = _table("metrics.yaml").get(base)
    if words is None:
        points = {1.0: 100.0, 100.0: 1.0}.get(entry.high)
        return MetricWording(name, name, points, f"{entry.summary.capitalize()}.", entry.better, entry.target)
    wording = MetricWording(**words, better=entry.better, target=entry.target)
    return replace(wording, label=f"{wording.label} ({options})") if options else wording


def budget_points(metric: str) -> float | None:
    """What one unit of a metric is in points of a budget; None when budgets do not apply to it.

    They apply to metrics that are on a scale of 0 to 100 and get better all the way to one of its ends.
    """
    wording = metric_wording(metric)
    return wording.points if wording.better in ("higher", "lower") else None


def verdict_sentences(kind: str) -> Mapping[str, str]:
    """The verdict's sentences, for `run` (base and tuned) or `runs` (two runs)."""
    sentences: Mapping[str, str] = _table("sentences.yaml")[kind]
    return sentences


def format_number(value: float, *, sign: bool = False, decimals: int = 1) -> str:
    """A number with one decimal and a true minus; `sign` adds a plus."""
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def format_p(p: float) -> str:
    """A p value with four decimals, or "< 0.0001": tests do not tell smaller ones apart reliably."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def format_score(metric: str, value: float, *, sign: bool = False, decimals: int = 1) -> str:
    """A metric's value on the scale that people are shown; metrics without a scale of 0 to 100 have three decimals."""
    places = 3 if metric_wording(metric).points is None else decimals
    return format_number(display_value(metric, value), sign=sign, decimals=places)


def metric_label(metric: str) -> str:
    """A metric in a table for people; where less is better it says so."""
    words = metric_wording(metric)
    return words.label + _LOWER * (words.better == "lower")


def metric_name(metric: str) -> str:
    """A metric as it is written in recipes; where less is better it says so."""
    return metric + _LOWER * (metric_wording(metric).better == "lower")


def format_nats(value: float) -> str:
    """A number of nats with three decimals and a true minus."""
    return format_number(value, decimals=3)


def display_value(metric: str, value: float) -> float:
    """A metric's value on the scale that people are shown: 0 to 100 where there is one, else as it is."""
    return value * (metric_wording(metric).points or 1.0)


@cache
def _table(name: str) -> dict[str, Any]:
    return yamltext.table("tutelage.comparison", name)
