"""Rows of a mixture put into words, in order, from any position: an order, where each task's rows are, and their templates.

Nothing is kept between batches: what stays in memory is what the order and the tasks' rows keep, whatever the number of rows.
A row's texts come straight out of its values, where the template allows it; the row itself is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, overload

import numpy as np

from tutelage.core.types import Example, Json, Prompted
from tutelage.data.mapped import MappedRows
from tutelage.mixture.mixed import BLOCK, MixedOrder, Picks
from tutelage.mixture.rates import Rate
from tutelage.templates.column_renderer import ColumnRenderer

_AHEAD = 16 * BLOCK
"""Positions that are picked together: the more, the less each costs."""
Texts = tuple[str, str]
"""A row's prompt and completion."""
Way = Callable[[int], Texts | None]
"""A row's place to its texts; None where it takes the whole template."""


class Template(Protocol):
    """What `TaskTemplate` and `LibraryTemplate` do."""

    @property
    def column_renderer(self) -> ColumnRenderer | None:
        """A quicker way to a row's texts, if there is one."""

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


class MixedBatch(Sequence[Prompted]):
    """Rows of a mixture at consecutive positions, in words.

    As a sequence it holds the whole rows, each with its origin, fields and spans. They are made when they are asked for, which
    takes several times as long as their texts; so who needs these takes `prompts` and `completions`.

    Args:
        sources: the mixture's tasks.
        picks: the rows.
        texts: their texts; None where the task's template has to make the row.

    Attributes:
        prompts: one a row.
        completions: one a row.
        picks: each row's task, place among the task's rows, and turn through them.

    Raises:
        InputError: as `MixedRows.span`.
    """

    def __init__(self, sources: Sequence[Source], picks: Picks, texts: Sequence[Texts | None]) -> None:
        self.picks = picks
        self._sources = sources
        self._rows: dict[int, Prompted] = {}
        self._make([place for place, both in enumerate(texts) if both is None])
        whole = [both or self._texts(place) for place, both in enumerate(texts)]
        self.prompts = [prompt for prompt, _ in whole]
        self.completions = [completion for _, completion in whole]

    def __len__(self) -> int:
        return len(self.picks.task)

    @overload
    def __getitem__(self, index: int) -> Prompted: ...

    @overload
    def __getitem__(self, index: slice) -> list[Prompted]: ...

    def __getitem__(self, index: Any) -> Any:
        """A row, or a list of several. Raises IndexError, and InputError as `MixedRows.span`."""
        places = range(len(self))[index]
        several = places if isinstance(index, slice) else [places]
        self._make(several)
        found = [self._rows[place] for place in several]
        return found if isinstance(index, slice) else found[0]

    def __iter__(self) -> Iterator[Prompted]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return self[:] == (other[:] if isinstance(other, MixedBatch) else other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def _make(self, places: Sequence[int]) -> None:
        """Have the templates make those rows that are not made yet, each task's together."""
        missing = np.array([place for place in places if place not in self._rows], np.int64)
        order = missing[np.argsort(self.picks.task[missing], kind="stable")]
        tasks, rows = self.picks.task[order], self.picks.row[order].tolist()
        cuts = np.flatnonzero(np.diff(tasks)) + 1
        for begin, end in pairwise([0, *cuts.tolist(), len(rows)] if rows else []):
            source = self._sources[int(tasks[begin])]
            examples = _take(source.rows, rows[begin:end])
            made = source.template.render_all(examples, source.name, training=True)
            self._rows.update(zip(order[begin:end].tolist(), made, strict=True))

    def _texts(self, place: int) -> Texts:
        row = self._rows[place]
        return row.prompt, row.completion


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
        self._ways = [_quickest(source) for source in self.sources]

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

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process of its own: `MixedRows` of rows in memory. The ways are found again there."""
        return type(self), (self.order, self.sources)

    def span(self, start: int, stop: int) -> MixedBatch:
        """The rows at the positions from `start` up to `stop`, in order.

        Raises:
            InputError: a row cannot be read or put into words; InputErrors for several of one task. Fields that the
                template does not read are looked at when the whole row is asked for.
        """
        return self._worded(self.order.span(start, stop))

    def batches(self, size: int, *, first: int = 0, step: int = 1) -> Iterator[MixedBatch]:
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
        # Picks cost less by the thousand; where most of them would be other workers', a batch's own are cheaper.
        near = step == 1 or size * step < 2 * BLOCK
        ahead, begun = self.order.span(0, 0), 0
        number = first
        while True:
            start = number * size
            if near and start + size > begun + len(ahead.task):
                ahead, begun = self.order.span(start, start + max(size, _AHEAD)), start
            if near:
                place = slice(start - begun, start - begun + size)
                yield self._worded(Picks(*(column[place] for column in ahead)))
            else:
                yield self.span(start, start + size)
            number += step

    def _worded(self, picks: Picks) -> MixedBatch:
        ways = self._ways
        texts = [ways[task](row) for task, row in zip(picks.task.tolist(), picks.row.tolist(), strict=True)]
        return MixedBatch(self.sources, picks, texts)


def _quickest(source: Source) -> Way:
    """A task's way from a row's place to its texts."""
    filling = source.template.column_renderer
    if filling is None:
        return lambda _: None
    fields, fill = filling.fields, filling.fill
    read = _reader(source.rows, fields)

    def texts(place: int) -> Texts | None:
        values = read(place)
        return None if values is None else fill(values)

    return texts


def _reader(rows: Sequence[Example], fields: Sequence[str]) -> Callable[[int], Sequence[Json] | None]:
    """What reads some fields of a row."""
    if isinstance(rows, MappedRows):
        return rows.reader(fields)

    def read(place: int) -> Sequence[Json] | None:
        values = rows[place].fields
        return [values[name] for name in fields] if all(name in values for name in fields) else None

    return read


def _take(rows: Sequence[Example], places: list[int]) -> list[Example]:
    return rows.take(places) if isinstance(rows, MappedRows) else [rows[place] for place in places]
