"""ROUGE of a corpus: precision, recall and F of every row for several variants, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.rouge import core, lcs
from tutelage.metrics.rouge.counts import gather, overlaps
from tutelage.metrics.rouge.tokens import Corpus, Tokenizer, intern
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
        room -= len(prediction) + sum(map(len, texts))
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
    row_of = np.repeat(np.arange(len(predictions)), [len(texts) for texts in references])
    scored: dict[str, Floats] = {}
    if any(name != "rougeLsum" for name in names):
        corpus = intern([*flat, *predictions], stemmer=stemmer, tokenizer=tokenizer)
        sides = corpus
        if len(flat) > len(predictions):
            sides = gather(corpus, np.concatenate((np.arange(len(flat)), len(flat) + row_of)))
        reference_lengths, prediction_lengths = np.split(sides.lengths, 2)
        orders = [int(name[5]) for name in names if name[5].isdigit()]
        hits = {f"rouge{n}": matches for n, matches in overlaps(sides, orders).items()}
        missing = [n - 1 for n in sorted(set(orders))]  # a text has that many fewer n-grams than words
        if "rougeL" in names:
            hits["rougeL"] = _lcs(sides)
            missing.append(0)
        fewer = np.array(missing)[:, None]
        values = _shares(np.array(list(hits.values())), reference_lengths - fewer, prediction_lengths - fewer)
        scored.update(zip(hits, values, strict=True))
    if "rougeLsum" in names:
        tokens = _sentences(flat, predictions, stemmer=stemmer, tokenizer=tokenizer)
        scored["rougeLsum"] = _summary_level(tokens, len(flat), len(flat) + row_of)
    return {name: scored[name] for name in names}


def _lcs(sides: Corpus) -> Ints:
    if core.BUILT:
        return core.lcs(sides.ids, sides.starts, sides.size)
    pairs = len(sides.lengths) // 2
    middle = sides.starts[pairs]
    references = Corpus(sides.ids[:middle], sides.starts[: pairs + 1], sides.size)
    predictions = Corpus(sides.ids[middle:], sides.starts[pairs:] - middle, sides.size)
    return lcs.lengths(references, predictions)


def _shares(hits: Ints, reference_lengths: Ints, prediction_lengths: Ints) -> Floats:
    """Precision, recall and F on a new last axis, in the reference program's order of operations: the last bit agrees."""
    precision = hits / np.maximum(prediction_lengths, 1)
    recall = hits / np.maximum(reference_lengths, 1)
    total = precision + recall
    f = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return np.stack([precision, recall, f], axis=-1)


def _sentences(
    references: Sequence[str], predictions: Sequence[str], *, stemmer: bool, tokenizer: Tokenizer
) -> list[list[list[int]]]:
    """Each text as sentences of token ids; empty lines are no sentences."""
    split = [[line for line in text.split("\n") if line] for text in (*references, *predictions)]
    corpus = intern([line for lines in split for line in lines], stemmer=stemmer, tokenizer=tokenizer)
    ids = corpus.ids.tolist()
    sentences = iter([ids[start:end] for start, end in pairwise(corpus.starts.tolist())])
    return [[next(sentences) for _ in lines] for lines in split]


def _summary_level(tokens: list[list[list[int]]], references: int, predictions: Ints) -> Floats:
    sizes = np.array([sum(map(len, text)) for text in tokens], np.int64)
    hits = [
        lcs.union_hits(tokens[reference], tokens[prediction])
        for reference, prediction in enumerate(predictions.tolist())
    ]
    return _shares(np.array(hits, np.int64), sizes[:references], sizes[predictions])


def _merged(values: Floats, counts: Ints, merge: Merge) -> Floats:
    """Precision, recall and F of each row out of those of each (row, reference) pair."""
    if np.all(counts == 1):
        return values
    merge_row: Callable[[Floats], Floats] = _largest_f if merge == "max" else _jackknife
    return np.array([merge_row(pairs) for pairs in np.split(values, np.cumsum(counts)[:-1])])


def _largest_f(pairs: Floats) -> Floats:
    best: Floats = pairs[np.argmax(pairs[:, 2])]
    return best


def _jackknife(pairs: Floats) -> Floats:
    if len(pairs) == 1:
        return _largest_f(pairs)
    leave_one_out = [_largest_f(np.delete(pairs, index, axis=0)) for index in range(len(pairs))]
    mean: Floats = np.array(leave_one_out).mean(axis=0)
    return mean
