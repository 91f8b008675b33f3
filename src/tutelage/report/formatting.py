"""Format numbers and texts for the pages: each number keeps its unrounded value, each text has a limited length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import wording

MAX_CHARACTERS = 2000
# Characters that HTML must not hold, and those that change the direction of the text around them.
CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of results.json and its rounded text; the page has both."""

    raw: float
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text from data or model; `cut` is its length in characters if the page shows only its beginning."""

    content: str
    cut: int | None = None


def count(value: float) -> Number:
    """Format a count, with spaces between thousands."""
    return Number(value, f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}"))


def score(metric: str, value: float, *, sign: bool = False) -> Number:
    """Format a metric's value on the scale shown to people."""
    return Number(value, wording.format_score(metric, value, sign=sign))


def percent(share: float, *, sign: bool = False) -> Number:
    """Format a share of 0 to 1 on a scale of 0 to 100 with one decimal."""
    return Number(share, f"{100 * share:+.1f}" if sign else f"{100 * share:.1f}")


def probability(value: float) -> Number:
    """Format a p value with four decimals, or as "< 0.0001"."""
    return Number(value, wording.format_p(value))


def loss(value: float) -> Number:
    """Format a loss in nats per token."""
    return Number(value, f"{value:.3f}")


def text(content: object) -> Text:
    """Replace characters that HTML must not hold, and cut the text after 2,000 characters."""
    clean = CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(content))
    if len(clean) <= MAX_CHARACTERS:
        return Text(clean)
    return Text(clean[:MAX_CHARACTERS], cut=len(clean))


def duration(seconds: float) -> str:
    """Format a time in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plain(value: Any) -> str:
    """Format a value of the recipe or of provenance in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(plain(inner) for inner in value)
    return text("" if value is None else value).content
