"""How metrics take references apart into words, and which references they cannot take apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.metrics.answers import normalise_squad
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.rouge.tokens import intern
from tutelage.metrics.stats.arrays import Ints
from tutelage.metrics.translation import sacrebleu_bleu

_LONG = 5
"""Letters of a script without spaces from which on one token of them is taken for several words."""
_SOUTH_EAST = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Burmese, Khmer."""
_EAST = "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Kana and Han."""
_UNSPACED = re.compile(f"[{_SOUTH_EAST}{_EAST}]{{{_LONG},}}")
_UNSPACED_FOR_CJK = re.compile(f"[{_SOUTH_EAST}]{{{_LONG},}}")
_WORD = re.compile(r"\w+")
_ASCII_ONLY = "reference"
"""The tokenizer of rouge_score, which separates words at every letter that is not ASCII."""


@dataclass(frozen=True, slots=True)
class Words:
    """References as a metric takes them apart.

    Attributes:
        counts: how many words it reads in each, int64 of shape (references,).
        needed: how many it needs for a value above 0: N for runs of N words.
        unspaced: the references in which it takes a stretch of text without spaces for one word.
        broken: the share of all words that its tokenizer does not read whole.
    """

    counts: Ints
    needed: int = 1
    unspaced: tuple[int, ...] = ()
    broken: float = 0.0


def words_of(spec: MetricSpec, references: Sequence[str]) -> Words | None:
    """The references as a metric takes them apart; None where it compares characters or whole texts."""
    name = spec.entry.name
    take_apart = _WAYS.get(name if name in _WAYS else spec.entry.module)
    return None if take_apart is None else take_apart(spec, references)


def _rouge(spec: MetricSpec, references: Sequence[str]) -> Words:
    tokenizer = str(spec.options["tokenizer"])
    counts = intern(references, stemmer=False, tokenizer=tokenizer).lengths  # type: ignore[arg-type]
    order = spec.entry.name.removeprefix("rouge")
    needed = int(order) if order.isdecimal() else 1
    if tokenizer == _ASCII_ONLY:
        words = [word for text in references for word in _WORD.findall(text)]
        broken = sum(not word.isascii() for word in words) / max(len(words), 1)
        return Words(counts, needed, broken=broken)
    return Words(
        counts, needed, _unspaced(references, _UNSPACED_FOR_CJK if tokenizer == "cjk" else _UNSPACED)
    )


def _bleu(spec: MetricSpec, references: Sequence[str]) -> Words:
    metric = sacrebleu_bleu(spec)
    return _of_tokens([metric.tokenizer(text) for text in references])


def _squad(_spec: MetricSpec, references: Sequence[str]) -> Words:
    return _of_tokens([normalise_squad(text) for text in references])


def _spaces(_spec: MetricSpec, references: Sequence[str]) -> Words:
    return _of_tokens(references)


def _of_tokens(texts: Sequence[str]) -> Words:
    """Texts whose tokens have spaces between them."""
    return Words(np.array([len(text.split()) for text in texts], np.int64), unspaced=_unspaced(texts))


def _unspaced(texts: Sequence[str], stretch: re.Pattern[str] = _UNSPACED) -> tuple[int, ...]:
    return tuple(index for index, text in enumerate(texts) if stretch.search(text))


_WAYS: Mapping[str, Callable[[MetricSpec, Sequence[str]], Words]] = {
    "rouge.metric": _rouge,
    "bleu": _bleu,
    "sentence_bleu": _bleu,
    "ter": _spaces,
    "length_ratio": _spaces,
    "answer_length": _spaces,
    "squad_em": _squad,
    "token_f1": _squad,
    "sequence_f1": _spaces,
}
"""By a metric's name, or by its module."""
