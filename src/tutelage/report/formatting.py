"""Numbers and texts as the page shows them: each number beside the one it was rounded from, each text bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import wording

LONGEST = 2000
# What HTML must not hold, and what would turn the direction of the text around it.
CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of results.json and how it is shown; the page carries both."""

    raw: float
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text of data or model; `cut` is how many characters it had when it was longer than the page shows."""

    content: str
    cut: int | None = None


def count(value: float) -> Number:
    """A count with thousands apart."""
    return Number(value, f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}"))


def score(metric: str, value: float, *, sign: bool = False) -> Number:
    """A metric's value on the scale that people are shown."""
    return Number(value, wording.number(wording.display_value(metric, value), sign=sign))


def probability(value: float) -> Number:
    """A p value; what is smaller than the last digit is said to be."""
    return Number(value, "< 0.0001" if value < 0.0001 else f"{value:.4f}")


def loss(value: float) -> Number:
    """A loss in nats a token."""
    return Number(value, f"{value:.3f}")


def text(content: object) -> Text:
    """A text without what HTML must not hold, at most 2,000 characters long."""
    clean = CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(content))
    if len(clean) <= LONGEST:
        return Text(clean)
    return Text(clean[:LONGEST], cut=len(clean))


def duration(seconds: float) -> str:
    """A time in the two units that matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plain(value: Any) -> str:
    """A value of the recipe or of provenance in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(plain(inner) for inner in value)
    return text("" if value is None else value).content
