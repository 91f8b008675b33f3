"""Detects invisible characters: zero-width ones, and those that change the direction of the text around them."""

from __future__ import annotations

import re

from tutelage.core.types import Json

_THREE_BYTE_MARKS = re.compile(b"\xe2(?:\x80[\x8b-\x8f\xaa-\xae]|\x81[\xa0-\xa4\xa6-\xa9])")
"""U+200B to U+200F, U+202A to U+202E, U+2060 to U+2064 and U+2066 to U+2069 in UTF-8."""
_ARABIC_LETTER_MARK, _BOM = "\u061c".encode(), "\ufeff".encode()


def in_bytes(text: bytes) -> bool:
    """Whether UTF-8 bytes contain an invisible character."""
    if text.isascii():
        return False
    return (
        _THREE_BYTE_MARKS.search(text) is not None
        # One byte is found faster than two, and in most languages it is not there.
        or (b"\xef" in text and _BOM in text)
        or (b"\xd8" in text and _ARABIC_LETTER_MARK in text)
    )


def in_value(value: Json) -> bool:
    """Whether a value contains an invisible character, also in texts inside lists and objects (not in their keys)."""
    if isinstance(value, str):
        return not value.isascii() and in_bytes(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        return any(map(in_value, value))
    return isinstance(value, dict) and any(map(in_value, value.values()))
