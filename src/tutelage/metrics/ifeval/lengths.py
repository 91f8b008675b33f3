"""Instructions about how long a response is: sentences, words, paragraphs."""

from __future__ import annotations

import re

from tutelage.metrics.ifeval.arguments import Relation, holds
from tutelage.metrics.ifeval.sentences import split_sentences

_WORD = re.compile(r"\w+")
_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_WORD_END = re.compile(r"[.,?!'\"]")


def number_of_sentences(response: str, *, num_sentences: int, relation: Relation) -> bool:
    """`length_constraints:number_sentences`: fewer sentences than a number, or at least as many."""
    return holds(len(split_sentences(response)), relation, num_sentences)


def number_of_words(response: str, *, num_words: int, relation: Relation) -> bool:
    """`length_constraints:number_words`: fewer words than a number, or at least as many; a word is letters, digits and _."""
    return holds(len(_WORD.findall(response)), relation, num_words)


def number_of_paragraphs(response: str, *, num_paragraphs: int) -> bool:
    """`length_constraints:number_paragraphs`: this many paragraphs with *** between them, none of them empty."""
    paragraphs = [paragraph.strip() for paragraph in _DIVIDER.split(response)]
    first = 0 if paragraphs[0] else 1  # a divider at the beginning or end separates nothing
    last = len(paragraphs) - (0 if paragraphs[-1] else 1)
    inner = paragraphs[first:last]
    return all(inner) and len(inner) == num_paragraphs


def first_word_of_paragraph(
    response: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
    """`length_constraints:nth_paragraph_first_word`: this many paragraphs with blank lines between them, one of which begins so.

    Empty paragraphs do not count towards the number, but the n-th one is looked for among all of them.
    """
    paragraphs = [paragraph.strip() for paragraph in response.split("\n\n")]
    filled = sum(map(bool, paragraphs))
    if filled != num_paragraphs or nth_paragraph > filled or not paragraphs[nth_paragraph - 1]:
        return False
    word = paragraphs[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    return _WORD_END.split(word)[0].lower() == first_word.lower()
