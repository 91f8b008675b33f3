"""The order of rows in a mixture with given task shares: a pure function of the seed and the position.

Positions are divided into blocks of 1,000. In each block tasks are drawn by systematic sampling: the interval from 0 to 1 is divided
among the tasks by their shares; slot i of block b is the point (i + t_b) / 1000 and belongs to the task whose part contains it. So
in every block a task has its share of the 1,000 slots, rounded down or up. The t_b are a van der Corput sequence (b's binary digits
reversed) with a seeded digital shift, which keeps the counts over any number of blocks within a few rows of the shares (the excess
grows with the logarithm of the number of blocks). Its terms below a bound are counted in closed form, which gives a task's count
before a block without a replay. Within a block the slots are permuted.

A task's rows come in a new permutation each epoch, so no row repeats before all rows of its task were drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from tutelage.core.seeds import derive
from tutelage.mixture.feistel import Ints, permutation, permute, permute_all, round_keys, round_keys_all

BLOCK = 1000
"""Positions in a block."""
_SLOT_BITS = 32
_SLOT = 1 << _SLOT_BITS
"""Units in a slot: shares are exact to 1 / 4,294,967,296,000."""
_SLOT_MASK = _SLOT - 1
_CACHED_BLOCKS = 32
"""Blocks in the cache, 16 KB each: sequential readers ask for a block many times."""
_MAX_ROWS = 1 << 53
_Bound = TypeVar("_Bound", int, Ints)


class Draw(NamedTuple):
    """The row at a position: its task, its index in the task, and the task's epoch, from 0."""

    task: int
    row: int
    epoch: int


class Draws(NamedTuple):
    """The `Draw`s at consecutive positions, as arrays of equal length."""

    task: Ints
    row: Ints
    epoch: Ints


@dataclass(frozen=True, slots=True)
class MixtureOrder:
    """An endless order over the rows of several tasks in which each task has its share of every 1,000 positions.

    Blocks of positions begin at multiples of 1,000. In each, a task comes floor or ceil of 1000 * share times.

    Attributes:
        seed: another seed gives another order.
        sizes: the number of rows used of each task; at least 1 if its share is above 0.
        shares: each task's share of the positions; they add up to 1. They are exact to 13 digits; a share above 0 stays above 0.
        totals: the number of rows of each task; if it is above `sizes`, the used rows are a seeded sample of range(total), the
            same in every epoch. `sizes` if not given.

    Raises:
        ValueError: lists of different lengths, shares that do not add up to 1, sizes beyond the totals.
    """

    seed: int
    sizes: Sequence[int]
    shares: Sequence[float]
    totals: Sequence[int] | None = None
    _sizes: Ints = field(init=False, repr=False, compare=False)
    _totals: Ints = field(init=False, repr=False, compare=False)
    _share_bounds: Ints = field(init=False, repr=False, compare=False)
    _keys: tuple[int, int, int, int] = field(init=False, repr=False, compare=False)
    _block_cache: dict[int, tuple[Ints, Ints]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        totals = self.sizes if self.totals is None else self.totals
        _check(self.sizes, self.shares, totals)
        bounds = np.concatenate([[0], np.cumsum(_share_units(self.shares))]).astype(np.int64)
        keys = tuple(derive(self.seed, "mixed", purpose) for purpose in ("slots", "rows", "sample", "shift"))
        object.__setattr__(self, "_sizes", np.asarray(self.sizes, np.int64))
        object.__setattr__(self, "_totals", np.asarray(totals, np.int64))
        object.__setattr__(self, "_share_bounds", bounds)
        object.__setattr__(self, "_keys", keys)

    def at(self, position: int) -> Draw:
        """The row at a position, from 0. It computes the position's block, which is cached for the next positions."""
        block, offset = divmod(position, BLOCK)
        _, rows, sample, _ = self._keys
        task, count = (int(column[offset]) for column in self._cached_block(block))
        epoch, offset_in_epoch = divmod(count, int(self._sizes[task]))
        row = permute(int(self._sizes[task]), round_keys(rows, task, epoch), offset_in_epoch)
        if self._totals[task] > self._sizes[task]:
            row = permute(int(self._totals[task]), round_keys(sample, task), row)
        return Draw(task, row, epoch)

    def span(self, start: int, stop: int) -> Draws:
        """The rows at the positions from `start` up to `stop`: those of `at`, computed together."""
        first_block = start // BLOCK
        parts = [self._cached_block(block) for block in range(first_block, -(-max(start, stop) // BLOCK))]
        if not parts:
            return Draws(*(np.empty(0, np.int64) for _ in range(3)))
        positions = slice(start - first_block * BLOCK, stop - first_block * BLOCK)
        task, count = (np.concatenate(column)[positions] for column in zip(*parts, strict=True))
        sizes, totals = self._sizes[task], self._totals[task]
        epoch, offset_in_epoch = np.divmod(count, sizes)
        _, rows, sample, _ = self._keys
        row = permute_all(sizes, round_keys_all(rows, task, epoch), offset_in_epoch)
        is_sampled = totals > sizes
        if is_sampled.any():
            keys = round_keys_all(sample, task[is_sampled])
            row[is_sampled] = permute_all(totals[is_sampled], keys, row[is_sampled])
        return Draws(task, row, epoch)

    def _cached_block(self, block: int) -> tuple[Ints, Ints]:
        """The tasks at a block's positions, and how often each came before: shapes (1000), (1000)."""
        cached = self._block_cache.get(block)
        if cached is None:
            cached = self._compute_block(block)
            if len(self._block_cache) >= _CACHED_BLOCKS:
                self._block_cache.clear()
            self._block_cache[block] = cached
        return cached

    def _compute_block(self, block: int) -> tuple[Ints, Ints]:
        """Compute what `_cached_block` returns."""
        offsets = np.arange(BLOCK, dtype=np.int64)
        slots = permutation(BLOCK, round_keys(self._keys[0], block))
        shift = self._block_shift(block)
        tasks = np.searchsorted(self._share_bounds, offsets * _SLOT + shift, side="right") - 1
        lower, upper = self._share_bounds[tasks], self._share_bounds[tasks + 1]
        earlier = self._slots_below(block, upper) - self._slots_below(block, lower)
        first_slot = (lower - shift + _SLOT_MASK) >> _SLOT_BITS  # of the task, in this block
        counts = earlier + offsets - first_slot
        # Slots are ordered by task. Assigning a task's slots to its positions in order makes its count grow with the position.
        task = tasks[slots]
        count = np.empty(BLOCK, np.int64)
        count[np.argsort(task, kind="stable")] = counts
        return task, count

    def _block_shift(self, block: int) -> int:
        """t_b, in units of a slot."""
        backwards = int(f"{block % _SLOT:0{_SLOT_BITS}b}"[::-1], 2)
        return backwards ^ (self._keys[3] & _SLOT_MASK)

    def _slots_below(self, block: int, bound: _Bound) -> _Bound:
        """The number of slots of earlier blocks below a bound (in units): block * floor, plus one for each t_b < rest."""
        whole, rest = bound >> _SLOT_BITS, bound & _SLOT_MASK
        full_rounds, remaining = divmod(block, _SLOT)
        count = block * whole + full_rounds * rest
        fixed_bits = 0
        shift = self._keys[3]
        # The numbers below `remaining` fall into runs with common upper digits, one run for each of its 1 digits. Reversed, these
        # become the lower digits while the others take all values, so each run is an arithmetic progression.
        for bit in range(remaining.bit_length() - 1, -1, -1):
            if remaining >> bit & 1:
                step = 1 << (_SLOT_BITS - bit)
                lowest = (fixed_bits ^ shift) & (step - 1)
                count = count + ((rest - lowest + step - 1) >> (_SLOT_BITS - bit))
                fixed_bits |= 1 << (_SLOT_BITS - 1 - bit)
        return count


def _share_units(shares: Sequence[float]) -> list[int]:
    """The shares as whole units that add up to a block, by largest remainders; at least one unit if a share is above 0."""
    total = math.fsum(shares)
    exact = [share / total * (BLOCK * _SLOT) for share in shares]
    units = [max(math.floor(share_exact), 1 if share_exact > 0 else 0) for share_exact in exact]
    unassigned = BLOCK * _SLOT - sum(units)
    order = sorted(range(len(units)), key=lambda index: units[index] - exact[index])
    if unassigned < 0:  # many shares were raised to one unit: take the excess from the largest
        units[max(range(len(units)), key=units.__getitem__)] += unassigned
    for index in order[: max(unassigned, 0)]:
        units[index] += 1
    return units


def _check(sizes: Sequence[int], shares: Sequence[float], totals: Sequence[int]) -> None:
    if not len(sizes) == len(shares) == len(totals) or not sizes:
        raise ValueError(
            f"{len(sizes)} sizes, {len(shares)} shares and {len(totals)} totals are not one a task"
        )
    if not all(0 <= share < math.inf for share in shares) or abs(math.fsum(shares) - 1) > 1e-6:
        raise ValueError(f"shares of 0 or more that add up to 1 are needed, not {list(shares)[:10]}")
    for size, share, total in zip(sizes, shares, totals, strict=True):
        if not (size > 0 or (size == share == 0)) or not size <= total < _MAX_ROWS:
            raise ValueError(f"a task with the share {share} cannot use {size} of {total} rows")
