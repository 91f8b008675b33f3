"""Entities as text, one `type: words` a line, and back to tags: so that a model's answer is scored as a tagger's is.

The text names the entities in the order of the sentence, or says `none`. Back: each mention takes the next place in the
sentence where its words stand, else the first one that is still free. A mention without a place in the sentence is
returned separately: it is an entity too many. Where the same words stand tagged and untagged, the text cannot say which
was meant; reference and answer are both read from text, so that this counts against neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tutelage.metrics.tag_schemes import conlleval_entities

Mention = tuple[str, str]
"""Type and words."""
NONE = "none"
_LINE = re.compile(r"\s*(?:[-*•]\s+)?([^:]+?)\s*:\s+(\S.*?)\s*$")


def to_text(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """A sentence's entities as text; tags in any scheme of B, I, E, S and O are read as conlleval does."""
    lines = (f"{kind}: {join_tokens(tokens[a : b + 1])}" for kind, a, b in conlleval_entities(tags))
    return "\n".join(lines) or NONE


def join_tokens(tokens: Sequence[str]) -> str:
    """Tokens as text: single spaces between those that are not empty."""
    return " ".join(word for token in tokens for word in token.split())


def from_text(text: str) -> list[Mention]:
    """The mentions in an answer; lines that name none are passed over."""
    matches = (_LINE.fullmatch(line) for line in text.split("\n"))
    return [(match[1], match[2]) for match in matches if match]


def to_tags(
    mentions: Sequence[Mention], tokens: Sequence[str], *, iobes: bool = False
) -> tuple[list[str], list[Mention]]:
    """Mentions as tags of a sentence's tokens.

    Args:
        mentions: as `from_text` gives them.
        tokens: the sentence's.
        iobes: write IOBES instead of IOB2.

    Returns:
        One tag a token, and the mentions that have no place in the sentence.
    """
    tags = ["O"] * len(tokens)
    words = [(word, index) for index, token in enumerate(tokens) for word in token.split()]
    unplaced: list[Mention] = []
    cursor = 0
    for kind, text in mentions:
        phrase = text.split()
        start = _find(phrase, words, tags, cursor)
        if start < 0:
            start = _find(phrase, words, tags, 0)
        if start < 0:
            unplaced.append((kind, text))
            continue
        cursor = start + len(phrase)
        first, last = words[start][1], words[cursor - 1][1]
        for index in range(first, last + 1):
            tags[index] = f"{_prefix(index, first, last, iobes=iobes)}-{kind}"
    return tags, unplaced


def _find(phrase: list[str], words: list[tuple[str, int]], tags: list[str], start: int) -> int:
    """Where a phrase stands in whole tokens that have no tag yet; -1 when nowhere.

    `words` are the sentence's words, each with the index of its token: a token may hold several.
    """
    length = len(phrase)
    for at in range(start, len(words) - length + 1):
        window = words[at : at + length]
        if [word for word, _ in window] != phrase:
            continue
        begins_token = at == 0 or words[at - 1][1] != window[0][1]
        ends_token = at + length == len(words) or words[at + length][1] != window[-1][1]
        if begins_token and ends_token and all(tags[index] == "O" for _, index in window):
            return at
    return -1


def _prefix(index: int, first: int, last: int, *, iobes: bool) -> str:
    if iobes and index == last:
        return "S" if first == last else "E"
    return "B" if index == first else "I"
