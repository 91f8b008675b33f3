"""Longest common subsequences: lengths for ROUGE-L, positions for ROUGE-Lsum and for explanations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isqrt

import numpy as np

from tutelage.metrics.rouge import core
from tutelage.metrics.rouge.tokens import Corpus
from tutelage.metrics.stats.arrays import Ints


def lengths(sides: Corpus) -> Ints:
    """The LCS length of each pair, int64 of shape (pairs,), of sides as `counts.overlaps` takes them.

    Bit-parallel and in memory linear in the texts, compiled here or in rapidfuzz.
    """
    if core.BUILT:
        return core.lcs(sides.ids, sides.starts, sides.size)
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cpdist

    texts, pairs = sides.texts(), len(sides.lengths) // 2
    matches = cpdist(texts[:pairs], texts[pairs:], scorer=LCSseq.similarity, workers=1)
    return np.asarray(matches, np.int64)


def positions(reference: Sequence[int], prediction: Sequence[int]) -> list[tuple[int, int]]:
    """One longest common subsequence as (place in the reference, place in the prediction), in order.

    Of several longest ones this is the one that rouge_score reads out of its table: from the end, a step back in
    the prediction only where that leaves a longer subsequence than a step back in the reference does. Of the table's
    rows, as bit vectors, only every block-th one is stored and the others are computed again, so memory stays below a
    few bits a token.
    """
    if not reference or not prediction:
        return []
    width = len(prediction)
    masks = _masks(prediction)
    block = max(256, isqrt(len(reference)))
    heads = [(1 << width) - 1]
    for start in range(0, len(reference), block):
        heads.append(_rows(reference[start : start + block], masks, heads[-1], width)[-1])
    matches: list[tuple[int, int]] = []
    i, j = len(reference), width
    value = j - heads[-1].bit_count()
    while value:
        base = (i - 1) // block * block
        rows = [heads[base // block], *_rows(reference[base:i], masks, heads[base // block], width)]
        while i > base and value:
            token = reference[i - 1]
            if token == prediction[j - 1]:
                i, j, value = i - 1, j - 1, value - 1
                matches.append((i, j))
                continue
            flat = rows[i - base] >> (j - 1) & 1
            above = j - (rows[i - 1 - base] & ((1 << j) - 1)).bit_count() if flat else value
            if above < value:
                j -= 1
            else:
                i -= 1
    return matches[::-1]


def _masks(tokens: Sequence[int]) -> dict[int, int]:
    """For each token the places where it stands, as bits."""
    masks: dict[int, int] = {}
    for place, token in enumerate(tokens):
        masks[token] = masks.get(token, 0) | 1 << place
    return masks


def _rows(tokens: Sequence[int], masks: dict[int, int], row: int, width: int) -> list[int]:
    """The table's rows after each token; a zero bit at place j says that the LCS grows by one there.

    H. Hyyrö, "Bit-parallel LCS-length computation revisited", 2004.
    """
    whole = (1 << width) - 1
    rows = []
    for token in tokens:
        hit = row & masks.get(token, 0)
        row = ((row + hit) | (row - hit)) & whole
        rows.append(row)
    return rows


def union_hits(references: Sequence[Sequence[int]], predictions: Sequence[Sequence[int]]) -> int:
    """ROUGE-Lsum's hits: for each reference sentence the union of its LCSs with all predicted sentences.

    No token counts more often than the prediction has it, as in ROUGE-1.5.5 (the paper does not say so).
    """
    available = Counter(token for sentence in predictions for token in sentence)
    bags = [set(sentence) for sentence in predictions]
    matched: Counter[int] = Counter()
    for sentence in references:
        tokens = set(sentence)
        union: set[int] = set()
        for bag, predicted in zip(bags, predictions, strict=True):
            if not tokens.isdisjoint(bag):
                union.update(place for place, _ in positions(sentence, predicted))
        matched.update(sentence[place] for place in union)
    return sum((matched & available).values())
