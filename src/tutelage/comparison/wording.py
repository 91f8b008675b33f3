"""How metrics and numbers are spoken of to people: one place for the verdict, the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tutelage.core import yamltext
from tutelage.metrics.catalogue import catalogue

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class MetricWording:
    """A metric for people.

    `points` is what one unit of its value is on a scale of 0 to 100, None when it has none; `higher_is_better` its
    direction.
    """

    label: str
    phrase: str
    points: float | None
    explain: str
    higher_is_better: bool = True


def metric_wording(name: str) -> MetricWording:
    """The words for a metric; its options, as in `rouge1:stemmer=false`, are kept in the label."""
    base, _, options = name.partition(":")
    known = catalogue().get(base)
    higher = known is None or known.better == "higher"
    entry = _table("metrics.yaml").get(base)
    if entry is not None:
        words = MetricWording(**entry, higher_is_better=higher)
        return replace(words, label=f"{words.label} ({options})") if options else words
    if known is None:
        return MetricWording(label=name, phrase=name, points=None, explain="")
    points = {1.0: 100.0, 100.0: 1.0}.get(known.high)
    return MetricWording(name, name, points, f"{known.summary.capitalize()}.", higher)


def sentences(kind: str) -> Mapping[str, str]:
    """The verdict's sentences, for `run` (base and tuned) or `runs` (two runs)."""
    found: Mapping[str, str] = _table("sentences.yaml")[kind]
    return found


def number(value: float, *, sign: bool = False) -> str:
    """A number with one decimal and a true minus; `sign` adds a plus."""
    text = f"{abs(value):.1f}"
    if float(text) == 0:
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def display_value(metric: str, value: float) -> float:
    """A metric's value on the scale that people are shown: 0 to 100 where there is one, else as it is."""
    return value * (metric_wording(metric).points or 1.0)


@cache
def _table(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yamltext.table("tutelage.comparison", name)
    return loaded
