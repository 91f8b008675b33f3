"""English sentences and words, without a model to download.

The authors' program splits with NLTK's Punkt and the parameters that were trained on the Wall Street Journal. Here it is the same
algorithm (T. Kiss and J. Strunk, "Unsupervised multilingual sentence boundary detection", 2006; NLTK's code) with the
abbreviations and sentence starters of `sentences.yaml`.
"""

from __future__ import annotations

import functools
from typing import Any

_CAPITAL_AT_THE_BEGINNING = 1 << 1
_LOWER_CASE_INSIDE = 1 << 5
"""Where Punkt has seen a word, as its table of words writes it."""


def split_sentences(text: str) -> list[str]:
    """Split a text into its sentences."""
    return list(map(str, _splitter().tokenize(text)))


def tokenize(text: str) -> list[str]:
    """Split a text into words and punctuation marks, as the Penn Treebank does: "don't." is `do`, `n't` and `.`."""
    return [
        str(token) for sentence in split_sentences(text) for token in _word_tokenizer().tokenize(sentence)
    ]


@functools.cache
def _splitter() -> Any:
    from nltk.tokenize import punkt

    from tutelage.core import yamltext  # PyYAML takes as long to import as all of the metrics

    table = yamltext.table(__package__, "sentences.yaml")
    parameters = punkt.PunktParameters()
    parameters.abbrev_types = set(table["abbreviations"].split())
    for word in table["starters"].split():
        parameters.sent_starters.add(word)
        parameters.add_ortho_context(word, _CAPITAL_AT_THE_BEGINNING | _LOWER_CASE_INSIDE)
    return punkt.PunktSentenceTokenizer(parameters)


@functools.cache
def _word_tokenizer() -> Any:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()
