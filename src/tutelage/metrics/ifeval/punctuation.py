"""Instructions about punctuation."""

from __future__ import annotations


def no_comma(response: str) -> bool:
    """`punctuation:no_comma`: there is no comma."""
    return "," not in response
