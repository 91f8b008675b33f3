"""Texts to interned tokens: one integer array for all texts of a call, so that counting is array work."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from tutelage.metrics.rouge import core
from tutelage.metrics.rouge.core import Ids
from tutelage.metrics.stats.arrays import Ints

Tokenizer = Literal["reference", "unicode", "cjk"]

_ASCII_WORDS = bytes(code if code == 0 or (code < 128 and chr(code).isalnum()) else 32 for code in range(256))
# The scripts that are written without spaces between words and whose characters bear meaning one by one.
_CJK = re.compile(
    "[\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001f200\U00020000-\U0003ffff]"
)

# Variation selectors are marks by category but choose a glyph, such as an emoji's colour form: no part of a word.
_SELECTORS = {chr(code) for code in range(0xFE00, 0xFE10)}


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Tokens of many texts, one after the other.

    Attributes:
        ids: int32 of shape (tokens,), each below `size`; equal tokens have equal ids.
        starts: int64 of shape (texts + 1,); text t is `ids[starts[t]:starts[t + 1]]`.
        size: how many different tokens there are.
    """

    ids: Ids
    starts: Ints
    size: int

    @property
    def lengths(self) -> Ints:
        """How many tokens each text has, int64 of shape (texts,)."""
        return np.diff(self.starts)

    def texts(self) -> list[list[int]]:
        """The ids of each text."""
        ids = self.ids.tolist()
        return [ids[start:end] for start, end in pairwise(self.starts.tolist())]


def intern(texts: Sequence[str], *, stemmer: bool, tokenizer: Tokenizer = "reference") -> Corpus:
    """Tokenise texts and number their distinct tokens.

    `reference` is rouge_score's tokenizer: lower case, ASCII letters and digits only, everything else separates;
    `unicode` takes letters, marks and digits of any script after NFKC and case folding; `cjk` is the same with
    every Han, Hiragana and Katakana character a token of its own. The stemmer touches ASCII tokens of more than
    three characters.
    """
    if core.BUILT and tokenizer == "reference":
        return Corpus(*core.intern(texts, stemmer=stemmer))
    tokens: list[bytes] | list[str]
    vocabulary: defaultdict[bytes | str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    if tokenizer == "reference":
        vocabulary[b"\0"] = 0
        tokens = _joined(texts).lower().encode("ascii", "replace").translate(_ASCII_WORDS).split()
    else:
        vocabulary["\0"] = 0
        folded = unicodedata.normalize("NFKC", _joined(texts)).casefold()
        folded = _CJK.sub(r" \g<0> ", folded) if tokenizer == "cjk" else folded
        tokens = folded.translate(_separators(folded)).split()
    ids = np.fromiter(map(vocabulary.__getitem__, tokens), np.int32, len(tokens))
    if stemmer:
        table = _stem_table(vocabulary)
        ids = table[ids]
    breaks = np.flatnonzero(ids == 0)
    ends = breaks - np.arange(len(breaks))
    ids = ids[ids != 0]
    starts = np.concatenate(([0], ends, [len(ids)])) if texts else np.zeros(1, np.int64)
    return Corpus(ids, starts.astype(np.int64), len(vocabulary))


def _joined(texts: Sequence[str]) -> str:
    joined = " \0 ".join(texts)
    if joined.count("\0") != len(texts) - 1:
        joined = " \0 ".join(text.replace("\0", " ") for text in texts)
    return joined


def _separators(text: str) -> dict[int, str]:
    return {
        ord(char): " "
        for char in set(text)
        if char != "\0"
        and not char.isalnum()
        and (unicodedata.category(char)[0] not in "LMN" or char in _SELECTORS)
    }


def _stem_table(vocabulary: Mapping[bytes | str, int]) -> Ids:
    """Old id to the id of the stem; ids stay below the size of the vocabulary."""
    stem, stem_ids = _porter_stemmer(), dict[str, int]()
    table = np.empty(len(vocabulary), np.int32)
    for token, number in vocabulary.items():
        word = token.decode("ascii") if isinstance(token, bytes) else token
        stemmed = stem(word) if len(word) > 3 and word.isascii() else word
        table[number] = stem_ids.setdefault(stemmed, len(stem_ids))
    return table


def _porter_stemmer() -> Callable[[str], str]:
    """Porter's stemmer for lower-case words: compiled, or NLTK's, which `rouge_score` calls too."""
    if core.BUILT:
        return core.stem
    from nltk.stem.porter import PorterStemmer  # its import takes longer than all of the metrics

    stem: Callable[[str], str] = PorterStemmer().stem
    return stem
