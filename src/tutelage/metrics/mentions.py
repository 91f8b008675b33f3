"""Entities as text, one `type: words` a line, and back to tags: so that a model's answer is scored as a tagger's is.

The text names what is there in the order of the sentence, `none` when nothing is. Back: each mention takes the next place in
the sentence where its words stand, else the first one that is still free. A mention that stands nowhere is kept apart: it
is an entity too many. Where the same words stand tagged and untagged, the text cannot say which was meant; reference and
answer are both read from text, so that this counts against neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Mention = tuple[str, str]
"""Type and words."""
NONE = "none"
_LINE = re.compile(r"\s*(?:[-*•]\s+)?([^:]+?)\s*:\s+(\S.*?)\s*$")


def spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The entities of tags in any scheme of B, I, E, S and O: (type, first token, last token), read as conlleval does."""
    from tutelage.metrics.entities import conlleval_entities

    return conlleval_entities(tags)


def to_text(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """A sentence's entities as text."""
    said = (f"{kind}: {words(tokens[first : last + 1])}" for kind, first, last in spans(tags))
    return "\n".join(said) or NONE


def words(tokens: Sequence[str]) -> str:
    """Tokens as text: single spaces between those that are not empty."""
    return " ".join(part for token in tokens for part in token.split())


def from_text(text: str) -> list[Mention]:
    """The mentions that an answer names; lines that name none are passed over."""
    found = (_LINE.fullmatch(line) for line in text.split("\n"))
    return [(match[1], match[2]) for match in found if match]


def to_tags(
    mentions: Sequence[Mention], tokens: Sequence[str], *, closed: bool = False
) -> tuple[list[str], list[Mention]]:
    """Mentions as tags of a sentence's tokens.

    Args:
        mentions: as `from_text` gives them.
        tokens: the sentence's.
        closed: write IOBES instead of IOB2.

    Returns:
        One tag a token, and the mentions that have no place.
    """
    tags = ["O"] * len(tokens)
    flat = [(part, place) for place, token in enumerate(tokens) for part in token.split()]
    parts = [part for part, _ in flat]
    lost: list[Mention] = []
    cursor = 0
    for kind, said in mentions:
        wanted = said.split()
        at = _find(wanted, parts, flat, tags, cursor)
        if at < 0:
            at = _find(wanted, parts, flat, tags, 0)
        if at < 0:
            lost.append((kind, said))
            continue
        cursor = at + len(wanted)
        first, last = flat[at][1], flat[cursor - 1][1]
        for place in range(first, last + 1):
            tags[place] = f"{_prefix(place, first, last, closed=closed)}-{kind}"
    return tags, lost


def _find(
    wanted: list[str], parts: list[str], flat: list[tuple[str, int]], tags: list[str], start: int
) -> int:
    """Where some words stand in whole tokens that are free; -1 when nowhere."""
    n = len(wanted)
    for at in range(start, len(parts) - n + 1):
        if parts[at : at + n] != wanted:
            continue
        inside = [place for _, place in flat[at : at + n]]
        begins = at == 0 or flat[at - 1][1] != inside[0]
        ends = at + n == len(flat) or flat[at + n][1] != inside[-1]
        if begins and ends and all(tags[place] == "O" for place in inside):
            return at
    return -1


def _prefix(place: int, first: int, last: int, *, closed: bool) -> str:
    if not closed:
        return "B" if place == first else "I"
    if first == last:
        return "S"
    return "B" if place == first else "E" if place == last else "I"
