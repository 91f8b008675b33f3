"""Renders the rows of a mixture in order, from any position, without preparing them first.

This is a Python API for data that does not fit into memory; recipes do not use it yet. See docs/mixtures.md for an example.

Nothing is kept between batches, so memory does not grow with the number of rows. Where a template allows it, a row's texts are
rendered directly from its values, and the whole row is only made if it is requested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, Protocol, overload

import numpy as np

from tutelage.core.types import Example, Json, Prompted
from tutelage.data.mapped import MappedRows
from tutelage.mixture.mixture_order import BLOCK, Draws, MixtureOrder
from tutelage.mixture.rates import TaskShare
from tutelage.templates.column_renderer import ColumnRenderer

_LOOKAHEAD = 16 * BLOCK
"""Positions that are drawn together, which lowers the cost of each."""
TextPair = tuple[str, str]
"""A row's prompt and completion."""
TextReader = Callable[[int], TextPair | None]
"""From a row's index to its texts; None if the row needs the full template."""


class Template(Protocol):
    """The common interface of `TaskTemplate` and `LibraryTemplate`."""

    @property
    def column_renderer(self) -> ColumnRenderer | None:
        """A fast renderer of prompt and completion alone, if there is one."""

    def render_all(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Sequence[Prompted]:
        """Render rows of a task."""


@dataclass(frozen=True, slots=True)
class MixtureSource:
    """A task of a mixture: its name, its rows (in memory or memory-mapped), and its template."""

    name: str
    rows: Sequence[Example]
    template: Template


class MixtureBatch(Sequence[Prompted]):
    """Rendered rows of a mixture at consecutive positions.

    As a sequence it has the whole rows, each with its origin, fields and spans. Whole rows are made when they are requested, which
    takes several times as long as their texts; if the texts are enough, use `prompts` and `completions`.

    Args:
        sources: the mixture's tasks.
        draws: the rows.
        texts: their texts; None for rows that need the full template.

    Attributes:
        prompts: one for each row.
        completions: one for each row.
        draws: each row's task, index in the task, and epoch.

    Raises:
        InputError: as `MixtureStream.span`.
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
        """Render the rows that are not rendered yet, those of each task together."""
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
    """The endless stream of a mixture's rendered rows, readable from any position.

    Args:
        order: the order of the rows; its tasks are the sources, in the same order.
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
        """Create a stream with the shares and row counts of `shares`.

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
        """Pickle for worker processes (for rows in memory); the readers are built again there."""
        return type(self), (self.order, self.sources)

    def span(self, start: int, stop: int) -> MixtureBatch:
        """The rows at the positions from `start` up to `stop`, in order.

        Raises:
            InputError: a row cannot be read or rendered; InputErrors for several of one task. Fields that the template does
                not read are only checked when the whole row is requested.
        """
        return self._batch_of(self.order.span(start, stop))

    def batches(self, size: int, *, first: int = 0, step: int = 1) -> Iterator[MixtureBatch]:
        """Endless batches of consecutive rows: batch n has the positions from n * size up to (n + 1) * size.

        Args:
            size: the number of rows in a batch.
            first: the number of the first batch, for example where a run resumes.
            step: the distance between batches: worker i of n uses `first=i, step=n`.

        Raises:
            InputError: as `span`.
        """
        if size < 1 or first < 0 or step < 1:
            raise ValueError(f"no batches of {size} rows from number {first} on in steps of {step}")
        # Draws are cheapest by the thousand; but if most of them belong to other workers, drawing single batches is cheaper.
        rows_ahead = max(size, _LOOKAHEAD) if step == 1 or size * step < 2 * BLOCK else size
        draws, drawn_from = self.order.span(0, 0), 0
        for number in count(first, step):
            start = number * size
            if start + size > drawn_from + len(draws.task):
                draws, drawn_from = self.order.span(start, start + rows_ahead), start
            window = slice(start - drawn_from, start - drawn_from + size)
            yield self._batch_of(Draws(*(column[window] for column in draws)))

    def _batch_of(self, draws: Draws) -> MixtureBatch:
        readers = self._text_readers
        texts = [
            readers[task](row) for task, row in zip(draws.task.tolist(), draws.row.tolist(), strict=True)
        ]
        return MixtureBatch(self.sources, draws, texts)


def _text_reader(source: MixtureSource) -> TextReader:
    """The fastest way from a row's index to its texts for one task."""
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
    """A reader of some fields of a row by its index."""
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
