"""Clipped n-gram matches of many pairs of texts at once: compiled, or by sorting."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.rouge import core
from tutelage.metrics.rouge.tokens import Corpus
from tutelage.metrics.stats.arrays import Ints

_MAX_CODE = 1 << 62  # n-grams are coded as int64; codes are renumbered before they outgrow it


def gather(corpus: Corpus, texts: Ints) -> Corpus:
    """The corpus that holds the given texts (int64 of shape (texts,)), in that order, with repetitions."""
    if np.array_equal(texts, np.arange(len(corpus.starts) - 1)):
        return corpus
    lengths = corpus.lengths[texts]
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    shift = np.repeat(corpus.starts[texts] - starts[:-1], lengths)
    return Corpus(corpus.ids[np.arange(starts[-1]) + shift], starts, corpus.size)


def overlaps(sides: Corpus, orders: list[int]) -> dict[int, Ints]:
    """Matches of each pair for each n-gram order.

    Args:
        sides: 2 p texts: the p references, then the p predictions that stand against them.
        orders: the orders n to count, each at least 1.

    Returns:
        For each order the matches of each pair, int64 of shape (p,): each different n-gram counts as often as the
        side that has fewer of it. That minimum is ROUGE's clipping.
    """
    if core.BUILT and orders:
        counted = core.overlaps(sides.ids, sides.starts, sides.size, max(orders))
        return {order: counted[order - 1] for order in sorted(set(orders))}
    pairs = (len(sides.starts) - 1) // 2
    owner = np.repeat(np.arange(2 * pairs), sides.lengths)
    to_end = sides.starts[owner + 1] - np.arange(len(owner))  # tokens from each one to its text's end
    codes, size = sides.ids.astype(np.int64), sides.size
    matches: dict[int, Ints] = {}
    for order in range(1, max(orders, default=0) + 1):
        if order > 1:
            if size * sides.size * max(pairs, 1) >= _MAX_CODE:
                distinct, codes = np.unique(codes, return_inverse=True)
                size = len(distinct)
            last = len(sides.ids) - order + 1
            codes = codes[: max(last, 0)] * sides.size + sides.ids[order - 1 :]
            size *= sides.size
        if order in orders:
            whole = to_end[: len(codes)] >= order
            text = owner[: len(codes)][whole]
            matches[order] = _clipped(text, codes[whole], pairs, size)
    return matches


def _clipped(text: Ints, codes: Ints, pairs: int, size: int) -> Ints:
    """Sum of the smaller counts, for each pair. `text` is sorted: references first."""
    split = int(np.searchsorted(text, pairs))
    keys_r, count_r = _tally(text[:split] * size + codes[:split])
    keys_h, count_h = _tally((text[split:] - pairs) * size + codes[split:])
    if not len(keys_r) or not len(keys_h):
        return np.zeros(pairs, np.int64)
    at = np.searchsorted(keys_h, keys_r)
    at[at == len(keys_h)] = 0
    same = keys_h[at] == keys_r
    smaller = np.minimum(count_r[same], count_h[at[same]])
    return np.bincount(keys_r[same] // size, smaller, minlength=pairs).astype(np.int64)


def _tally(keys: Ints) -> tuple[Ints, Ints]:
    """The different keys in order, and how often each occurs."""
    keys = np.sort(keys)
    first = np.flatnonzero(np.concatenate((np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1])))
    return keys[first], np.diff(np.append(first, len(keys)))
