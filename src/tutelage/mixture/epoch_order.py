"""The order of training rows by epochs: a pure function of the seed and the position.

There is no generator state to save and nothing to replay: a resumed run computes the row at its position. Each epoch is a
permutation of all rows by a Feistel network (`feistel.py`), so the cost of a position does not depend on the number of rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from tutelage.core.seeds import derive
from tutelage.mixture.feistel import ROUNDS, permute


class TaskRow(NamedTuple):
    """A training row: the index of its task, and its index within the task."""

    task: int
    row: int


@dataclass(frozen=True, slots=True)
class EpochOrder:
    """An endless order over the training rows of several tasks with each row exactly once in each epoch.

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
        """The number of rows in an epoch."""
        return self._ends[-1]

    def at(self, position: int) -> TaskRow:
        """The row at a position, from 0 over all epochs."""
        epoch, offset = divmod(position, self.epoch_size)
        index = permute(self.epoch_size, epoch_round_keys(self.seed, epoch), offset)
        task = bisect_right(self._ends, index)
        return TaskRow(task, index - (self._ends[task - 1] if task else 0))


@lru_cache(maxsize=64)
def epoch_round_keys(seed: int, epoch: int) -> tuple[int, ...]:
    """The round keys of one epoch's permutation."""
    return tuple(derive(seed, "order", epoch, number) for number in range(ROUNDS))
