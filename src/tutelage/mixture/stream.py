"""Rows of a mixture put into words, in order, from any position: an order, where each task's rows are, and their templates.

Nothing is kept between batches: what stays in memory is what the order and the tasks' rows keep, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from tutelage.core.nouns import Example, Prompted
from tutelage.data.mapped import MappedRows
from tutelage.mixture.mixed import BLOCK, MixedOrder, Picks
from tutelage.mixture.rates import Rate


class Template(Protocol):
    """What `TaskTemplate` and `LibraryTemplate` do."""

    def render_all(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Sequence[Prompted]:
        """Put rows of a task into words."""


@dataclass(frozen=True, slots=True)
class Source:
    """A task of a mixture: its name, its rows (in memory or mapped), and how they are put into words."""

    name: str
    rows: Sequence[Example]
    template: Template


class MixedRows:
    """The rows of a mixture in words.

    Args:
        order: which row comes when; its tasks are the sources, in the same order.
        sources: the tasks.

    Raises:
        ValueError: another number of tasks, or of a task's rows, than the order has.
    """

    def __init__(self, order: MixedOrder, sources: Sequence[Source]) -> None:
        wanted = list(order.sizes if order.totals is None else order.totals)
        found = [len(source.rows) for source in sources]
        if wanted != found:
            raise ValueError(f"the order is over {wanted[:10]} rows, the sources have {found[:10]}")
        self.order = order
        self.sources = tuple(sources)

    @classmethod
    def of(cls, seed: int, sources: Sequence[Source], rates: Sequence[Rate]) -> MixedRows:
        """A mixture with the shares, and the capped rows, that `rates` says.

        Raises:
            ValueError: other tasks than the rates', or in another order.
        """
        names = [source.name for source in sources], [rate.name for rate in rates]
        if names[0] != names[1]:
            raise ValueError(f"sources are {names[0][:10]}, rates are of {names[1][:10]}")
        order = MixedOrder(
            seed,
            [rate.rows for rate in rates],
            [rate.share for rate in rates],
            [len(source.rows) for source in sources],
        )
        return cls(order, sources)

    def span(self, start: int, stop: int) -> list[Prompted]:
        """The rows at the positions from `start` up to `stop`, in order.

        Raises:
            InputError: a row cannot be read or put into words; InputErrors for several of one task.
        """
        return self._rendered(self.order.span(start, stop))

    def batches(self, size: int, *, first: int = 0, step: int = 1) -> Iterator[list[Prompted]]:
        """Batches of consecutive rows without end: batch n holds the positions from n * size up to (n + 1) * size.

        Args:
            size: rows a batch.
            first: the number of the first batch: where a run goes on.
            step: how many batches further the next one is: worker i of n takes `first=i, step=n`.

        Raises:
            InputError: as `span`.
        """
        if size < 1 or first < 0 or step < 1:
            raise ValueError(f"no batches of {size} rows from number {first} on in steps of {step}")
        # Picks cost less by the thousand; batches that lie further apart than that are picked one by one.
        near = size * step < BLOCK
        ahead, begun = self.order.span(0, 0), 0
        number = first
        while True:
            start = number * size
            if near and start + size > begun + len(ahead.task):
                ahead, begun = self.order.span(start, start + 4 * BLOCK), start
            if near:
                place = slice(start - begun, start - begun + size)
                yield self._rendered(Picks(*(column[place] for column in ahead)))
            else:
                yield self.span(start, start + size)
            number += step

    def _rendered(self, picks: Picks) -> list[Prompted]:
        """Rows that are picked, each task's together."""
        order = np.argsort(picks.task, kind="stable")
        tasks, rows = picks.task[order], picks.row[order].tolist()
        cuts = [0, *(np.flatnonzero(np.diff(tasks)) + 1).tolist(), len(rows)]
        grouped: list[Prompted] = []
        for begin, end in pairwise(cuts):
            if begin == end:
                continue
            source = self.sources[int(tasks[begin])]
            examples = _take(source.rows, rows[begin:end])
            grouped += source.template.render_all(examples, source.name, training=True)
        placed = dict(zip(order.tolist(), grouped, strict=True))
        return [placed[place] for place in range(len(grouped))]


def _take(rows: Sequence[Example], places: list[int]) -> list[Example]:
    return rows.take(places) if isinstance(rows, MappedRows) else [rows[place] for place in places]
