"""Weighted counts by group, for many resamples at once, and stable numbers for names."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from tutelage.metrics.implementation import Floats, Ints


@lru_cache(maxsize=65536)
def code(name: str) -> float:
    """A number for a name that is the same in every process: 52 bits of its sha256, never 0."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return float((int.from_bytes(digest[:8], "big") >> 12) or 1)


class Groups:
    """Lines sorted into groups once, so that each resample's sums by group are one pass.

    Args:
        keys: the group of each line, int64 of shape (m,), from 0 to `count` - 1.
        count: how many groups there are.
        only: the lines that count, bool of shape (m,); all when left out.
    """

    def __init__(
        self, keys: Ints, count: int, only: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
    ) -> None:
        lines = np.arange(len(keys)) if only is None else np.flatnonzero(only)
        self.order = lines[np.argsort(keys[lines], kind="stable")]
        ordered = keys[self.order]
        self.first = np.flatnonzero(
            np.concatenate((np.ones(min(len(ordered), 1), bool), ordered[1:] != ordered[:-1]))
        )
        self.present = ordered[self.first]
        self.count = count

    def sums(self, weights: Floats) -> Floats:
        """Sums by group, float64 of shape (b, m) to (b, count)."""
        found = np.zeros((len(weights), self.count))
        if len(self.order):
            found[:, self.present] = np.add.reduceat(weights[:, self.order], self.first, axis=1)
        return found
