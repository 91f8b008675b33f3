"""Clipped n-gram matches of many pairs of texts: compiled, or one pair after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tutelage.metrics.rouge import core
from tutelage.metrics.rouge.tokens import Corpus
from tutelage.metrics.stats.arrays import Ints


def overlaps(sides: Corpus, orders: Sequence[int]) -> dict[int, Ints]:
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
    texts = sides.texts()
    pairs = list(zip(texts[: len(texts) // 2], texts[len(texts) // 2 :], strict=True))
    return {
        order: np.array([_matches(reference, prediction, order) for reference, prediction in pairs], np.int64)
        for order in sorted(set(orders))
    }


def _matches(reference: Sequence[int], prediction: Sequence[int], order: int) -> int:
    """The smaller counts of a pair's n-grams, summed."""
    counts = [
        Counter(zip(*(text[start:] for start in range(order)), strict=False))
        for text in (reference, prediction)
    ]
    return (counts[0] & counts[1]).total()
