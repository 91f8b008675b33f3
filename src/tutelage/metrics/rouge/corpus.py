"""ROUGE of a corpus: precision, recall and F of every row for several variants, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.rouge import lcs
from tutelage.metrics.rouge.counts import overlaps
from tutelage.metrics.rouge.tokens import Tokenizer, intern
from tutelage.metrics.stats.arrays import Floats, Ints

Merge = Literal["max", "jackknife"]

NAMES = (*(f"rouge{n}" for n in range(1, 10)), "rougeL", "rougeLsum")
_CHUNK = 8_000_000  # characters that are tokenised together: bounds the memory of a large corpus


def rouge(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    names: Sequence[str] = ("rouge1", "rouge2", "rougeL", "rougeLsum"),
    *,
    stemmer: bool = True,
    tokenizer: Tokenizer = "reference",
    merge: Merge = "max",
) -> dict[str, Floats]:
    """Compute ROUGE-1 to 9, L and Lsum of every prediction against its references.

    Equal to `rouge_score` 0.1.2 with the reference tokenizer and `merge="max"`.

    Args:
        predictions: the texts to judge, n of them.
        references: for each the texts it may equal, at least one.
        names: which of `rouge1` to `rouge9`, `rougeL`, `rougeLsum`. Lsum's sentences end at newlines.
        stemmer: Porter's stemmer on words of more than three letters.
        tokenizer: `reference` knows ASCII letters and digits only; `unicode` those of any script; `cjk` is that with
            Han and kana characters one by one.
        merge: of several references the one with the largest F (`max`), or ROUGE-1.5.5's `jackknife`: the mean, over
            the references, of the best of the others.

    Returns:
        For each name precision, recall and F, float64 of shape (n, 3).

    Raises:
        InputError: a row has no reference.
    """
    for row, texts in enumerate(references):
        if not texts:
            raise InputError("a row has no reference", where=f"row {row + 1}", expected="at least one")
    parts: dict[str, list[Floats]] = {name: [np.zeros((0, 3))] for name in names}
    for part in _chunks(predictions, references):
        scored = _chunk(predictions[part], references[part], names, stemmer=stemmer, tokenizer=tokenizer)
        counts = np.array([len(texts) for texts in references[part]])
        for name, values in scored.items():
            parts[name].append(_merged(values, counts, merge))
    return {name: np.concatenate(values) for name, values in parts.items()}


def _chunks(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[slice]:
    start, room = 0, _CHUNK
    for row, (prediction, texts) in enumerate(zip(predictions, references, strict=True)):
        room -= len(prediction) * len(texts) + sum(map(len, texts))
        if room < 0 and row > start:
            yield slice(start, row)
            start, room = row, _CHUNK
    if start < len(predictions):
        yield slice(start, len(predictions))


def _chunk(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    names: Sequence[str],
    *,
    stemmer: bool,
    tokenizer: Tokenizer,
) -> dict[str, Floats]:
    """Precision, recall, F of every (row, reference) pair, float64 of shape (pairs, 3)."""
    flat = [text for texts in references for text in texts]
    flat += [prediction for prediction, texts in zip(predictions, references, strict=True) for _ in texts]
    orders = {name: int(name[5]) for name in names if name[5].isdigit()}
    scored: dict[str, Floats] = {}
    if orders or "rougeL" in names:
        sides = intern(flat, stemmer=stemmer, tokenizer=tokenizer)
        matches, (reference, prediction) = overlaps(sides, [*orders.values()]), np.split(sides.lengths, 2)
        for name, n in orders.items():  # a text has n - 1 n-grams fewer than words
            scored[name] = _shares(matches[n], reference - n + 1, prediction - n + 1)
        if "rougeL" in names:
            scored["rougeL"] = _shares(lcs.lengths(sides), reference, prediction)
    if "rougeLsum" in names:
        scored["rougeLsum"] = _summary_level(_sentences(flat, stemmer=stemmer, tokenizer=tokenizer))
    return {name: scored[name] for name in names}


def _shares(hits: Ints, reference_lengths: Ints, prediction_lengths: Ints) -> Floats:
    """Precision, recall and F on a new last axis, in the reference program's order of operations: the last bit agrees."""
    precision = hits / np.maximum(prediction_lengths, 1)
    recall = hits / np.maximum(reference_lengths, 1)
    total = precision + recall
    f = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return np.stack([precision, recall, f], axis=-1)


def _sentences(texts: Sequence[str], *, stemmer: bool, tokenizer: Tokenizer) -> list[list[list[int]]]:
    """Each text as sentences of token ids; empty lines are no sentences."""
    split = [[line for line in text.split("\n") if line] for text in texts]
    corpus = intern([line for lines in split for line in lines], stemmer=stemmer, tokenizer=tokenizer)
    sentences = iter(corpus.texts())
    return [[next(sentences) for _ in lines] for lines in split]


def _summary_level(sides: list[list[list[int]]]) -> Floats:
    pairs = len(sides) // 2
    sizes = np.array([sum(map(len, text)) for text in sides], np.int64)
    hits = list(map(lcs.union_hits, sides[:pairs], sides[pairs:]))
    return _shares(np.array(hits, np.int64), sizes[:pairs], sizes[pairs:])


def _merged(values: Floats, counts: Ints, merge: Merge) -> Floats:
    """Precision, recall and F of each row out of those of each (row, reference) pair."""
    if np.all(counts == 1):
        return values
    return np.array([_merged_row(pairs, merge) for pairs in np.split(values, np.cumsum(counts)[:-1])])


def _merged_row(pairs: Floats, merge: Merge) -> Floats:
    merged: Floats = pairs[np.argmax(pairs[:, 2])]
    if merge == "jackknife" and len(pairs) > 1:
        without_one = [_merged_row(np.delete(pairs, index, axis=0), "max") for index in range(len(pairs))]
        merged = np.mean(without_one, axis=0)
    return merged
