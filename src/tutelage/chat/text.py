"""Makes model output and other untrusted text safe to show in a terminal.

Control characters become visible signs, one by one, so that an escape sequence that comes in pieces is caught too.
"""

from __future__ import annotations

DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that turn the direction of the text behind them, which then reads otherwise than it is."""

SIGNS = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys(map(ord, DIRECTION_MARKS), "\ufffd"),
    **dict.fromkeys((0x2028, 0x2029), "\n"),
}


def visible(text: str) -> str:
    """The text with every control character but tab and line feed as a visible sign."""
    return text.replace("\r\n", "\n").translate(SIGNS)


def encodable(text: str, encoding: str | None) -> str:
    """The text with a question mark for every character that the encoding lacks."""
    name = encoding or "utf-8"
    return text.encode(name, "replace").decode(name)
