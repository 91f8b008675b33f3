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
from tutelage.mixture.mixture_order import BLOCK, Draws, MixtureOrder
from tutelage.mixture.rates import TaskShare
from tutelage.templates.column_renderer import ColumnRenderer

_LOOKAHEAD = 16 * BLOCK
"""Positions that are picked together: the more, the less each costs."""
TextPair = tuple[str, str]
"""A row's prompt and completion."""
TextReader = Callable[[int], TextPair | None]
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
class MixtureSource:
    """A task of a mixture: its name, its rows (in memory or mapped), and how they are put into words."""

    name: str
    rows: Sequence[Example]
    template: Template


class MixtureBatch(Sequence[Prompted]):
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

    def __init__(
        self, sources: Sequence[MixtureSource], draws: Draws, texts: Sequence[TextPair | None]
    ) -> None:
        self.draws = draws
        self._sources = sources
        self._rows: dict[int, Prompted] = {}
        self._render_missing([index for index, pair in enumerate(texts) if pair is None])
        pairs = [pair or self._text_pair(index) for index, pair in enumerate(texts)]
        self.prompts = [prompt for prompt, _ in pairs]
        self.completions = [completion for _, completion in pairs]

    def __len__(self) -> int:
        return len(self.draws.task)

    @overload
    def __getitem__(self, index: int) -> Prompted: ...

    @overload
    def __getitem__(self, index: slice) -> list[Prompted]: ...

    def __getitem__(self, index: Any) -> Any:
        """A row, or a list of several. Raises IndexError, and InputError as `MixtureStream.span`."""
        selected = range(len(self))[index]
        indices = selected if isinstance(selected, range) else [selected]
        self._render_missing(indices)
        rows = [self._rows[index] for index in indices]
        return rows if isinstance(selected, range) else rows[0]

    def __iter__(self) -> Iterator[Prompted]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return self[:] == (other[:] if isinstance(other, MixtureBatch) else other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def _render_missing(self, indices: Sequence[int]) -> None:
        """Have the templates make those rows that are not made yet, each task's together."""
        missing = np.array([index for index in indices if index not in self._rows], np.int64)
        order = missing[np.argsort(self.draws.task[missing], kind="stable")]
        tasks, rows = self.draws.task[order], self.draws.row[order].tolist()
        cuts = np.flatnonzero(np.diff(tasks)) + 1
        for begin, end in pairwise([0, *cuts.tolist(), len(rows)] if rows else []):
            source = self._sources[int(tasks[begin])]
            examples = _take(source.rows, rows[begin:end])
            rendered = source.template.render_all(examples, source.name, training=True)
            self._rows.update(zip(order[begin:end].tolist(), rendered, strict=True))

    def _text_pair(self, index: int) -> TextPair:
        row = self._rows[index]
        return row.prompt, row.completion


class MixtureStream:
    """The rows of a mixture in words.

    Args:
        order: which row comes when; its tasks are the sources, in the same order.
        sources: the tasks.

    Raises:
        ValueError: another number of tasks, or of a task's rows, than the order has.
    """

    def __init__(self, order: MixtureOrder, sources: Sequence[MixtureSource]) -> None:
        expected_sizes = list(order.sizes if order.totals is None else order.totals)
        source_sizes = [len(source.rows) for source in sources]
        if expected_sizes != source_sizes:
            raise ValueError(
                f"the order is over {expected_sizes[:10]} rows, the sources have {source_sizes[:10]}"
            )
        self.order = order
        self.sources = tuple(sources)
        self._text_readers = [_text_reader(source) for source in self.sources]

    @classmethod
    def of(cls, seed: int, sources: Sequence[MixtureSource], shares: Sequence[TaskShare]) -> MixtureStream:
        """A mixture with the shares, and the capped rows, that `shares` says.

        Raises:
            ValueError: other tasks than the rates', or in another order.
        """
        names = [source.name for source in sources], [share.name for share in shares]
        if names[0] != names[1]:
            raise ValueError(f"sources are {names[0][:10]}, rates are of {names[1][:10]}")
        order = MixtureOrder(
            seed,
            [share.rows for share in shares],
            [share.share for share in shares],
            [len(source.rows) for source in sources],
        )
        return cls(order, sources)

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process of its own: `MixedRows` of rows in memory. The ways are found again there."""
        return type(self), (self.order, self.sources)

    def span(self, start: int, stop: int) -> MixtureBatch:
        """The rows at the positions from `start` up to `stop`, in order.

        Raises:
            InputError: a row cannot be read or put into words; InputErrors for several of one task. Fields that the
                template does not read are looked at when the whole row is asked for.
        """
        return self._batch_of(self.order.span(start, stop))

    def batches(self, size: int, *, first: int = 0, step: int = 1) -> Iterator[MixtureBatch]:
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
        reads_ahead = step == 1 or size * step < 2 * BLOCK
        lookahead, lookahead_start = self.order.span(0, 0), 0
        number = first
        while True:
            start = number * size
            if reads_ahead and start + size > lookahead_start + len(lookahead.task):
                lookahead, lookahead_start = self.order.span(start, start + max(size, _LOOKAHEAD)), start
            if reads_ahead:
                window = slice(start - lookahead_start, start - lookahead_start + size)
                yield self._batch_of(Draws(*(column[window] for column in lookahead)))
            else:
                yield self.span(start, start + size)
            number += step

    def _batch_of(self, draws: Draws) -> MixtureBatch:
        readers = self._text_readers
        texts = [
            readers[task](row) for task, row in zip(draws.task.tolist(), draws.row.tolist(), strict=True)
        ]
        return MixtureBatch(self.sources, draws, texts)


def _text_reader(source: MixtureSource) -> TextReader:
    """A task's way from a row's place to its texts."""
    renderer = source.template.column_renderer
    if renderer is None:
        return lambda _: None
    fields, fill = renderer.fields, renderer.fill
    read = _field_reader(source.rows, fields)

    def read_texts(row_index: int) -> TextPair | None:
        values = read(row_index)
        return None if values is None else fill(values)

    return read_texts


def _field_reader(rows: Sequence[Example], fields: Sequence[str]) -> Callable[[int], Sequence[Json] | None]:
    """What reads some fields of a row."""
    if isinstance(rows, MappedRows):
        return rows.reader(fields)

    def read(row_index: int) -> Sequence[Json] | None:
        values = rows[row_index].fields
        return [values[name] for name in fields] if all(name in values for name in fields) else None

    return read


def _take(rows: Sequence[Example], row_indices: list[int]) -> list[Example]:
    return (
        rows.take(row_indices)
        if isinstance(rows, MappedRows)
        else [rows[row_index] for row_index in row_indices]
    )
