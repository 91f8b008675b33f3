"""Which training row comes at which position: a pure function of the seed and the position.

There is no generator state to save and nothing to replay: a resumed run asks for its position. Each epoch is its own permutation of
all rows, made by a Feistel network over the next power of four with cycle walking (Black and Rogaway, "Ciphers with arbitrary
finite domains", 2002), so a position costs the same whatever the number of rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from tutelage.core.seeds import derive

_ROUNDS = 8
_MASK = (1 << 64) - 1


class Place(NamedTuple):
    """One of a task's training rows: indices of the task and of the row in it."""

    task: int
    row: int


@dataclass(frozen=True, slots=True)
class Order:
    """An endless order over the training rows of several tasks, each row exactly once an epoch.

    Tasks are mixed examples-proportionally: every row of every task is as likely as any other.

    Attributes:
        seed: another seed gives another order.
        sizes: the number of training rows of each task; at least one row in all.
    """

    seed: int
    sizes: Sequence[int]
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = tuple(accumulate(self.sizes))
        if not ends or ends[-1] < 1 or min(self.sizes) < 0:
            raise ValueError(f"an order needs at least one row, not sizes {list(self.sizes)}")
        object.__setattr__(self, "_ends", ends)

    @property
    def epoch_size(self) -> int:
        """Rows an epoch."""
        return self._ends[-1]

    def at(self, position: int) -> Place:
        """The row at a position, counted from 0 over all epochs."""
        epoch, offset = divmod(position, self.epoch_size)
        index = permuted(self.epoch_size, derive_key(self.seed, epoch), offset)
        task = bisect_right(self._ends, index)
        return Place(task, index - (self._ends[task - 1] if task else 0))


def row_at(seed: int, sizes: Sequence[int], position: int) -> Place:
    """The (task, row) at a position of the order over `sizes` rows; see `Order`."""
    return Order(seed, sizes).at(position)


@lru_cache(maxsize=64)
def derive_key(seed: int, epoch: int) -> tuple[int, ...]:
    """The round keys of one epoch's permutation."""
    return tuple(derive(seed, "order", epoch, number) for number in range(_ROUNDS))


def permuted(size: int, keys: Sequence[int], offset: int) -> int:
    """Where a permutation of range(size) takes `offset`.

    Args:
        size: at least 1.
        keys: 64-bit integers, one a round.
        offset: in range(size).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    value = offset
    # The network permutes range(4 ** half), which holds range(size): walk until the value falls into it again.
    while True:
        left, right = value >> half, value & low
        for key in keys:
            left, right = right, left ^ (_mix(right ^ key) & low)
        value = left << half | right
        if value < size:
            return value


def _mix(value: int) -> int:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): 64 bits in, 64 well-mixed bits out."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
