"""Instructions about upper and lower case; two of them ask for English too."""

from __future__ import annotations

from tutelage.metrics.ifeval.arguments import Relation, holds
from tutelage.metrics.ifeval.language import is_in_language
from tutelage.metrics.ifeval.sentences import tokenize


def capital_words(response: str, *, capital_frequency: int, capital_relation: Relation) -> bool:
    """`change_case:capital_word_frequency`: fewer words all in capitals than a number, or at least as many."""
    count = sum(token.isupper() for token in tokenize(response))
    return holds(count, capital_relation, capital_frequency)


def english_capitals(response: str) -> bool:
    """`change_case:english_capital`: English, and all in capitals."""
    return response.isupper() and is_in_language(response, language="en")


def english_lowercase(response: str) -> bool:
    """`change_case:english_lowercase`: English, without any capital."""
    return response.islower() and is_in_language(response, language="en")
