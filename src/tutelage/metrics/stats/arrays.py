"""Array types, duplicate rows counted once, and blocks that bound memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BLOCK = 4_000_000  # numbers held at once
_SAMPLE = 256  # rows that show whether duplicates are worth looking for


def fold_duplicates(rows: Floats) -> tuple[Floats, Ints]:
    """Merge equal rows: the distinct ones, shape (m, k), and how often each occurs, shape (m,).

    When the first rows hardly repeat, all rows are returned as they are, each with the count 1.
    """
    sample = rows[:_SAMPLE]
    if not len(rows) or len(np.unique(sample, axis=0)) * 2 > max(len(sample), 4):
        return rows, np.ones(len(rows), np.int64)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    return distinct, counts


def blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of `count` rows of `width` numbers, each small enough to hold in memory."""
    step = max(1, min(count, _BLOCK // max(width, 1)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
