"""Instructions about words and letters that must, or must not, be in a response; letter case does not matter."""

from __future__ import annotations

import re

from tutelage.metrics.ifeval.arguments import Relation, holds


def has_all(response: str, *, keywords: tuple[str, ...]) -> bool:
    """`keywords:existence`: each keyword is there, also inside a longer word."""
    return all(_occurrences(response, keyword) for keyword in keywords)


def keyword_frequency(response: str, *, keyword: str, frequency: int, relation: Relation) -> bool:
    """`keywords:frequency`: how often a keyword is there, also inside longer words."""
    return holds(_occurrences(response, keyword), relation, frequency)


def has_none(response: str, *, forbidden_words: tuple[str, ...]) -> bool:
    """`keywords:forbidden_words`: none of the words is there as a whole word."""
    return not any(
        re.search(rf"\b{re.escape(word)}\b", response, flags=re.IGNORECASE) for word in forbidden_words
    )


def letter_frequency(response: str, *, letter: str, let_frequency: int, let_relation: Relation) -> bool:
    """`keywords:letter_frequency`: how often a character is there.

    The authors' program replaces a character other than a to z by a letter drawn at random.
    """
    return holds(response.lower().count(letter), let_relation, let_frequency)


def _occurrences(response: str, keyword: str) -> int:
    return len(re.findall(re.escape(keyword), response, flags=re.IGNORECASE))
