"""Packing: rows that go through a model together, chosen so that little of a pack's room stays empty.

Packs are made inside windows of at most 1,024 positions of the training order: by first fit, longest row first (Johnson
1974), or, with a limit on both sides, so that both fill up together. A window starts with each epoch, so that every row
comes once an epoch. A window's packs depend on the rows of that window alone: those of any step are computed directly,
without the steps before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tutelage.core.types import Encoded

WINDOW = 1024  # positions that are packed together, at most


@dataclass(frozen=True, slots=True)
class Packing:
    """The size of packs.

    Attributes:
        target: the most tokens of a pack: of whole rows for decoder-only models, of the decoder's side for the others.
        source: the most tokens of a pack on the encoder's side; 0 for decoder-only models.
        epoch: training rows per epoch; no pack holds rows of two epochs.
    """

    target: int
    source: int
    epoch: int


def packing_of(rows: Iterable[Encoded], *, max_length: int) -> Packing:
    """Choose the size of packs for an epoch's rows, none of which is longer than `max_length` on either side.

    A decoder-only pack has room for `max_length` tokens. For encoder-decoder models the side that has more tokens in
    all has that room, and the other one so much that both fill up together, yet enough for its longest row.
    """
    sizes = [(len(row.ids), None if row.source is None else len(row.source)) for row in rows]
    targets = [target for target, _ in sizes]
    if sizes[0][1] is None:
        return Packing(max_length, 0, len(sizes))
    sources = [source or 0 for _, source in sizes]
    larger = max(sum(targets), sum(sources))
    target, source = (max(-(-max_length * sum(side) // larger), *side) for side in (targets, sources))
    return Packing(target, source, len(sizes))


class Packs:
    """The packs of each optimizer step.

    Step `s` covers the row positions from `s * batch_size` up to the next step's. The packs of a window of `n`
    positions are spread evenly over it: pack `p` of `P` is at position `p * n / P`, and belongs to the step that covers
    it. So a step has `batch_size` rows on average, not exactly. Where the rows are so short that a step would get no
    pack, packs are halved until the window has one for every `batch_size` rows. The last window ends at position
    `steps * batch_size`.

    Args:
        row_at: position to row, a pure function.
        packing: the size of packs.
        batch_size: rows per optimizer step, on average.
        steps: optimizer steps in all.
    """

    def __init__(
        self, row_at: Callable[[int], Encoded], packing: Packing, *, batch_size: int, steps: int
    ) -> None:
        self._row_at = row_at
        self._packing = packing
        self._batch_size = batch_size
        self._last = batch_size * steps
        self._window = lru_cache(maxsize=4)(self._packed)

    def of_step(self, step: int) -> list[list[Encoded]]:
        """The packs of a step, counted from 0: at least one."""
        low = step * self._batch_size
        high = low + self._batch_size
        start = self._start(low)
        packs: list[list[Encoded]] = []
        while start < high:
            window = self._window(start)
            size = self._end(start) - start
            first, stop = (-(-(position - start) * len(window) // size) for position in (low, high))
            packs += window[max(0, first) : stop]
            start += size
        return packs

    def fill(self, packs: Sequence[Sequence[Encoded]]) -> tuple[float, ...]:
        """The share of the packs' room that rows fill: one number, for encoder-decoder models source and target."""
        rows = [row for pack in packs for row in pack]
        target = sum(len(row.ids) for row in rows) / (len(packs) * self._packing.target)
        if not self._packing.source:
            return (target,)
        return (sum(len(row.source or ()) for row in rows) / (len(packs) * self._packing.source), target)

    def _start(self, position: int) -> int:
        """Where the window of a position starts."""
        offset = position % self._packing.epoch
        return position - offset % WINDOW

    def _end(self, start: int) -> int:
        """Where the window that starts at `start` ends: with its positions, its epoch or the training."""
        epoch_ends = start - start % self._packing.epoch + self._packing.epoch
        return min(start + WINDOW, epoch_ends, self._last)

    def _packed(self, start: int) -> list[list[Encoded]]:
        """The packs of the window that starts at `start`, ordered by the positions of their longest rows."""
        rows = [self._row_at(position) for position in range(start, self._end(start))]
        target, source = self._packing.target, self._packing.source
        if source:
            packs = vector_bin_packing(
                [(len(row.ids), len(row.source or ())) for row in rows], (target, source)
            )
        else:
            packs = first_fit_decreasing([len(row.ids) for row in rows], target)
        while len(packs) * self._batch_size < len(rows):
            largest = max(packs, key=len)
            packs.remove(largest)
            packs += [largest[::2], largest[1::2]]
        # A pack's longest row is anywhere in the window, so this order does not depend on what packs hold.
        return [[rows[index] for index in pack] for pack in sorted(packs)]


def first_fit_decreasing(costs: Sequence[int], room: int) -> list[list[int]]:
    """Pack sizes into bins by first fit, largest first; a size larger than a bin has one of its own.

    Returns:
        Indices of `costs` by bin, the largest first in each; of two that are as large the earlier one.
    """
    bins: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(costs)), key=lambda i: -costs[i]):
        cost = costs[index]
        for number, space in enumerate(free):
            if cost <= space:
                bins[number].append(index)
                free[number] -= cost
                break
        else:
            bins.append([index])
            free.append(room - cost)
    return bins


def vector_bin_packing(costs: Sequence[tuple[int, int]], room: tuple[int, int]) -> list[list[int]]:
    """Pack pairs of sizes into bins with a limit for each of the two; a pair larger than a bin has one of its own.

    A bin starts with the pair that takes most of either limit, and takes the pair that leaves the least of both, as long as
    one fits: the norm-based greedy of Panigrahy, Talwar, Uyeda and Wieder, "Heuristics for vector bin packing" (2011).
    First fit would fill one side only: 86 % of both where this fills 95 % (perf/packing.py).

    Returns:
        Indices of `costs` by bin, the first one of each first; of two that are as good the earlier one.
    """
    sizes = np.array(costs, dtype=np.int64).reshape(-1, 2)
    shares = sizes / np.array(room)
    waiting = np.ones(len(costs), dtype=bool)
    bins: list[list[int]] = []
    while waiting.any():
        index = int(np.where(waiting, shares.max(axis=1), -1.0).argmax())
        indices: list[int] = []
        free = np.array(room)
        fits = waiting
        while True:
            indices.append(index)
            waiting[index] = False
            free = free - sizes[index]
            fits = fits & waiting & (sizes <= free).all(axis=1)
            if not fits.any():
                break
            free_shares = free / np.array(room) - shares
            index = int(np.where(fits, (free_shares * free_shares).sum(axis=1), np.inf).argmin())
        bins.append(indices)
    return bins


def packed_micro_batches(packs: Sequence[Sequence[Encoded]], *, tokens: int) -> list[list[Encoded]]:
    """Join neighbouring packs into micro-batches of at most `tokens` tokens; a larger pack is one of its own."""
    batches: list[list[Encoded]] = []
    room = -1
    for pack in packs:
        cost = sum(len(row.ids) + len(row.source or ()) for row in pack)
        if cost > room:
            batches.append([])
            room = tokens
        batches[-1] += pack
        room -= cost
    return batches
