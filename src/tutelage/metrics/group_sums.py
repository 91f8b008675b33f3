"""Weighted sums by group, for many resamples at once, and stable numbers for names."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tutelage.metrics.stats.arrays import Floats, Ints


@lru_cache(maxsize=65536)
def name_code(name: str) -> float:
    """A number for a name that is the same in every process: 52 bits of its sha256, never 0."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return float((int.from_bytes(digest[:8], "big") >> 12) or 1)


class GroupSums:
    """Rows sorted into groups once, so that each resample's sums by group are one pass.

    Args:
        groups: the group of each row, int64 of shape (m,), from 0 to `count` - 1.
        count: how many groups there are.
        mask: the rows that count, bool of shape (m,); all when left out.
    """

    def __init__(self, groups: Ints, count: int, mask: npt.NDArray[np.bool_] | None = None) -> None:
        rows = np.arange(len(groups)) if mask is None else np.flatnonzero(mask)
        self.order = rows[np.argsort(groups[rows], kind="stable")]
        ordered = groups[self.order]
        starts = np.concatenate((np.ones(min(len(ordered), 1), bool), ordered[1:] != ordered[:-1]))
        self.starts = np.flatnonzero(starts)
        self.present = ordered[self.starts]
        self.count = count

    def __call__(self, weights: Floats) -> Floats:
        """Sums by group, float64 of shape (b, m) to (b, count)."""
        sums = np.zeros((len(weights), self.count))
        if len(self.order):
            sums[:, self.present] = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        return sums
