"""ROUGE of a corpus: precision, recall and F of every row for every variant asked for, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from tutelage.core.errors import InputError
from tutelage.metrics.rouge import core, lcs
from tutelage.metrics.rouge.counts import gather, overlaps
from tutelage.metrics.rouge.tokens import Corpus, Ints, Tokenizer, intern

Floats = npt.NDArray[np.float64]
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
    """ROUGE-1 to 9, L and Lsum of every prediction against its references.

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
    for row, own in enumerate(references):
        if not own:
            raise InputError("a row has no reference", where=f"row {row + 1}", expected="at least one")
    parts: dict[str, list[Floats]] = {name: [np.zeros((0, 3))] for name in names}
    for part in _chunks(predictions, references):
        scored = _chunk(predictions[part], references[part], names, stemmer=stemmer, tokenizer=tokenizer)
        counts = np.array([len(own) for own in references[part]])
        for name, values in scored.items():
            parts[name].append(_merged(values, counts, merge))
    return {name: np.concatenate(found) for name, found in parts.items()}


def _chunks(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[slice]:
    start, room = 0, _CHUNK
    for row, (prediction, own) in enumerate(zip(predictions, references, strict=True)):
        room -= len(prediction) + sum(map(len, own))
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
    flat = [text for own in references for text in own]
    row_of = np.repeat(np.arange(len(predictions)), [len(own) for own in references])
    scored: dict[str, Floats] = {}
    if any(name != "rougeLsum" for name in names):
        corpus = intern([*flat, *predictions], stemmer=stemmer, tokenizer=tokenizer)
        sides = corpus
        if len(flat) > len(predictions):
            sides = gather(corpus, np.concatenate((np.arange(len(flat)), len(flat) + row_of)))
        lengths = sides.lengths
        length_r, length_h = lengths[: len(flat)], lengths[len(flat) :]
        orders = [int(name[5]) for name in names if name[5].isdigit()]
        hits = {f"rouge{n}": matches for n, matches in overlaps(sides, orders).items()}
        shorter = [n - 1 for n in sorted(set(orders))]  # a text has that many fewer n-grams than words
        if "rougeL" in names:
            hits["rougeL"] = _lcs(sides)
            shorter.append(0)
        fewer = np.array(shorter)[:, None]
        values = _shares(np.array(list(hits.values())), length_r - fewer, length_h - fewer)
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


def _shares(hits: Ints, of_references: Ints, of_predictions: Ints) -> Floats:
    """Precision, recall and F on a new last axis, in the reference program's order of operations: the last bit agrees."""
    precision = hits / np.maximum(of_predictions, 1)
    recall = hits / np.maximum(of_references, 1)
    both = precision + recall
    f = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return np.stack([precision, recall, f], axis=-1)


def _sentences(
    references: Sequence[str], predictions: Sequence[str], *, stemmer: bool, tokenizer: Tokenizer
) -> list[list[list[int]]]:
    """Each text as sentences of token ids; empty lines are no sentences."""
    split = [[line for line in text.split("\n") if line] for text in (*references, *predictions)]
    lines = intern([line for own in split for line in own], stemmer=stemmer, tokenizer=tokenizer)
    ids, at = lines.ids.tolist(), lines.starts.tolist()
    sentences = iter([ids[start:end] for start, end in pairwise(at)])
    return [[next(sentences) for _ in own] for own in split]


def _summary_level(tokens: list[list[list[int]]], references: int, predictions: Ints) -> Floats:
    sizes = np.array([sum(map(len, text)) for text in tokens], np.int64)
    hits = [
        lcs.union_hits(tokens[reference], tokens[prediction])
        for reference, prediction in enumerate(predictions.tolist())
    ]
    return _shares(np.array(hits, np.int64), sizes[:references], sizes[predictions])


def _merged(values: Floats, counts: Ints, merge: Merge) -> Floats:
    """One line for each row out of one for each (row, reference) pair."""
    if np.all(counts == 1):
        return values
    best: Callable[[Floats], Floats] = _best if merge == "max" else _jackknife
    return np.array([best(own) for own in np.split(values, np.cumsum(counts)[:-1])])


def _best(own: Floats) -> Floats:
    line: Floats = own[np.argmax(own[:, 2])]
    return line


def _jackknife(own: Floats) -> Floats:
    if len(own) == 1:
        line: Floats = own[0]
        return line
    lines = np.array([_best(np.delete(own, out, axis=0)) for out in range(len(own))])
    mean: Floats = lines.mean(axis=0)
    return mean
