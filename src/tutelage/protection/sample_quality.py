"""Which sampled texts are fit to be learned: those that ended, say something, and do not repeat themselves."""

from __future__ import annotations

from collections import Counter

from tutelage.core.types import Response

NEAR = 0.8
"""Similarity from which a prompt and an item, or two prompts, count as the same, as for rows."""
_REPEATED = 4
"""A text in which three words in a row come so often is degenerate."""


def reason_to_drop(response: Response) -> str:
    """Why a sampled text is not learned: cut off, empty or degenerate; "" when it is."""
    if not response.text.strip():
        return "empty"
    if response.finish != "stop":
        return "cut off"
    words = response.text.split()
    repeated = Counter(zip(words, words[1:], words[2:], strict=False)).most_common(1)
    repeats = bool(repeated) and repeated[0][1] >= _REPEATED
    return "degenerate" if repeats or "\0" in response.text else ""  # no row may hold a NUL character
