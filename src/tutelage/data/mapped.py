"""Random access to the rows of a memory-mapped Arrow file, for data that does not fit into memory.

This is a Python API; recipes do not use it yet. See docs/mixtures.md for an example.

A row's bytes are read when the row is requested. Memory holds only a description of each record batch, 1 to 2 KB, so write batches
of a thousand rows or more. Opening a file does not read it in full; each row is checked when it is read: first the offsets of its
texts, then the texts.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Json, Origin
from tutelage.data.formats.arrow_values import (
    ArrowRowDecoder,
    damaged_file_error,
    is_plain,
    shortest_floats,
    unreadable_value_error,
)
from tutelage.data.formats.blocks import empty_file_error, open_data_file
from tutelage.data.mapped_column import Column, open_column
from tutelage.data.row_values import clean

Ints = npt.NDArray[np.int64]
ExampleReader = Callable[[int], list[Json] | None]
_EXTENSIONS = (".arrow", ".feather")
_MAX_OPEN_BATCHES = 1 << 15
"""Record batches whose opened columns are cached: about 2 KB each."""
_CHECK_INTERVAL = 0.1
"""Seconds between two checks that the file has not changed."""
_ARROW_ERRORS = (OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError)
"""What Arrow raises on a damaged file."""


class MappedRows(Sequence[Example]):
    """A sequence of the rows of an uncompressed Arrow file, or of a part of it, as `Example`s with their row numbers.

    Files and streams of Arrow's IPC format can be mapped (`.arrow`, `.feather`, and the cache files of `datasets`) if they were
    written without compression. Values are those that `data.read` gives.

    Args:
        path: the file.
        shown: its name in errors and origins; `path` if not given.
        name: the prefix of its row ids; the file's name if not given.

    Raises:
        InputError: the file is missing, of another format, compressed, damaged, or without rows.
    """

    def __init__(self, path: Path, *, shown: str | None = None, name: str | None = None) -> None:
        self._file = _MappedFile(path, shown or str(path))
        self._name = name or path.name
        self._start, self._stop = 0, self._file.rows

    @property
    def notes(self) -> tuple[str, ...]:
        """Which columns were skipped or converted."""
        return tuple(self._file.cells.notes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that every row has."""
        return tuple(self._file.cells.columns)

    def part(self, start: int, stop: int, *, name: str | None = None) -> MappedRows:
        """The rows from `start` up to `stop`, over the same mapping; row numbers remain the file's.

        Raises:
            ValueError: the range is outside of these rows.
        """
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"no part from {start} to {stop} of {len(self)} rows")
        part = object.__new__(MappedRows)
        part._file, part._name = self._file, name or self._name
        part._start, part._stop = self._start + start, self._start + stop
        return part

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: Any) -> Any:
        """The row at an index (negative: from the end); a `part` for a slice.

        Raises:
            IndexError: no such row.
            InputError: as `take`.
        """
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("slices of rows have no step: use take")
            return self.part(start, max(start, stop))
        return self.take([index + len(self) if index < 0 else index])[0]

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), 1024):
            yield from self.take(range(start, min(start + 1024, len(self))))

    def reader(self, columns: Sequence[str]) -> ExampleReader:
        """A fast reader of a few columns.

        Args:
            columns: the fields to read; the rest of a row is neither read nor checked.

        Returns:
            A function from a row's index (from 0) to the values that `take` gives, in the columns' order. It returns None for
            values other than texts, numbers and booleans and for damaged rows: `take` reads those, or says what is wrong.
        """
        cells = self._file.cells
        if not all(name in cells.columns and name not in cells.classes for name in columns):
            return lambda _: None
        column_indices = [cells.columns.index(name) for name in columns]
        return self._file.reader(column_indices, range(self._start, self._stop))

    def take(self, indices: Sequence[int] | Ints) -> list[Example]:
        """The rows at some indices, in the given order.

        Raises:
            IndexError: there is no such row.
            InputError: the file has changed or is damaged, or a row cannot be read; the error has its number.
        """
        start, stop = self._start, self._stop
        cells, name, shown = self._file.cells, self._name, self._file.shown
        self._file.require_unchanged()
        examples: list[Example] = []
        for index in indices.tolist() if isinstance(indices, np.ndarray) else indices:
            position = start + index
            if not start <= position < stop:
                raise IndexError(f"row {index} of {stop - start}")
            number = position + 1
            fields = {
                column: clean(value)
                for column, value in cells.fields(self._file.row(position), number).items()
            }
            examples.append(Example(f"{name}:{number}", fields, Origin(shown, number, "row")))
        return examples


class _MappedFile:
    """A memory-mapped Arrow file: its record batches and the first row number of each."""

    def __init__(self, path: Path, shown: str) -> None:
        import pyarrow as pa

        self.path, self.shown = path, shown
        if path.suffix.lower() not in _EXTENSIONS:
            raise InputError(
                "only Arrow files can be mapped",
                where=shown,
                found=path.suffix or "a name without ending",
                expected=" or ".join(_EXTENSIONS),
                fix="write the rows as an uncompressed Arrow file (pyarrow.feather.write_feather)",
            )
        with open_data_file(path, shown) as file:
            head = file.read(8)
            self._opened_stamp = _file_stamp(os.fstat(file.fileno()))
        if not head:
            raise empty_file_error(shown, "0 bytes")
        self._last_check = -math.inf
        self.rows = 0
        self._columns: dict[int, tuple[Column, ...]] = {}
        try:
            self._mapped = pa.memory_map(str(path))
            opening = pa.ipc.open_file if head.startswith(b"ARROW1") else pa.ipc.open_stream
            source = opening(self._mapped)
            self.cells = ArrowRowDecoder(source.schema, shown)
        except _ARROW_ERRORS as error:
            raise self._damaged_error(0, error) from None
        self._batches = list(self._read(source))
        self._starts = list(accumulate((batch.num_rows for batch in self._batches), initial=0))
        if not self.rows:
            raise empty_file_error(shown, "no rows")

    def _read(self, source: Any) -> Iterator[Any]:
        """The batches with rows. Only the sizes of their buffers are checked here, not the contents."""
        batches = (
            (source.get_batch(number) for number in range(source.num_record_batches))
            if hasattr(source, "num_record_batches")
            else iter(source)
        )
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                batch.validate()
            except _ARROW_ERRORS as error:
                raise self._damaged_error(self.rows, error) from None
            if not self.rows and batch.num_rows:
                self._refuse_compressed(batch)
            self.rows += batch.num_rows
            if batch.num_rows:
                yield batch.select(self.cells.columns)

    def _refuse_compressed(self, batch: Any) -> None:
        """Raise if the file is compressed: Arrow decompresses into memory, so a buffer lies outside of the mapping."""
        position = self._mapped.tell()
        self._mapped.seek(0)
        mapped = self._mapped.read_buffer()
        self._mapped.seek(position)
        buffers = (buffer for column in batch.columns for buffer in column.buffers() if buffer)
        if not all(
            mapped.address <= chunk.address < mapped.address + mapped.size for chunk in buffers if chunk.size
        ):
            raise InputError(
                "the Arrow file is compressed, so its rows cannot be read at random places",
                where=self.shown,
                found="compressed buffers",
                expected="an uncompressed file",
                fix='write it with pyarrow.feather.write_feather(table, path, compression="uncompressed")',
            )

    def require_unchanged(self) -> None:
        """Raise if the file has changed: reading beyond the new end of a truncated file would kill the process."""
        now = monotonic()
        if now - self._last_check < _CHECK_INTERVAL:  # a mixture takes a row or two at a time from each task
            return
        self._last_check = now
        if _file_stamp(self.path.stat()) != self._opened_stamp:
            self._last_check = -math.inf
            raise InputError(
                "the file changed while it was mapped",
                where=self.shown,
                found="another size or date than when it was opened",
                expected="a file that nothing writes to",
                fix="start again when it is written, or map a copy of it",
            )

    def row(self, number: int) -> dict[str, Any]:
        """The values of a row (numbers from 0), by column."""
        batch = bisect_right(self._starts, number) - 1
        row = number - self._starts[batch]
        try:
            columns = self._columns.get(batch) or self._open_columns(batch)
            return {name: read(row) for name, read, _ in columns}
        except (*_ARROW_ERRORS, OverflowError) as error:
            raise self._value_error(number, error) from None

    def reader(self, columns: Sequence[int], row_numbers: range) -> ExampleReader:
        """A fast reader of some columns within a range of rows (see `MappedRows.reader`).

        It runs once for every row of a mixture, so everything is inlined.
        """
        narrow = {
            i: self.cells.narrow[name]
            for i, name in enumerate(self.cells.columns)
            if name in self.cells.narrow
        }
        starts, open_data_file, broken = self._starts, self._columns, (*_ARROW_ERRORS, OverflowError)

        def read_row(index: int) -> list[Json] | None:
            if monotonic() - self._last_check >= _CHECK_INTERVAL:
                self.require_unchanged()
            number = row_numbers[index]
            batch = bisect_right(starts, number) - 1
            row = number - starts[batch]
            values: list[Json] = []
            try:
                batch_columns = open_data_file.get(batch) or self._open_columns(batch)
                for column in columns:
                    _, value_at, text_buffer = batch_columns[column]
                    if text_buffer is None:
                        value = value_at(row)
                        value = shortest_floats(value, narrow[column]) if column in narrow else value
                        needs_check = not is_plain(value)
                    else:
                        offsets, characters, end = text_buffer
                        start, stop = offsets[row], offsets[row + 1]
                        if not 0 <= start <= stop <= end:
                            return None
                        value = str(characters[start:stop], "utf-8")
                        needs_check = "\0" in value or "\r\n" in value
                    if needs_check:
                        return None
                    values.append(value)
            except broken:
                return None
            return values

        return read_row

    def _open_columns(self, batch: int) -> tuple[Column, ...]:
        if len(self._columns) >= _MAX_OPEN_BATCHES:
            self._columns.clear()
        columns = self._batches[batch].columns
        opened = tuple(open_column(*pair) for pair in zip(self.cells.columns, columns, strict=True))
        self._columns[batch] = opened
        return opened

    def _value_error(self, number: int, error: Exception) -> InputError:
        if isinstance(error, UnicodeDecodeError | OverflowError):
            return unreadable_value_error(self.cells.row_location(number + 1), error)
        return self._damaged_error(number, error)

    def _damaged_error(self, number: int, error: Exception) -> InputError:
        where = f"{self.shown}, row {number + 1}"
        return damaged_file_error(where, str(error) or type(error).__name__, "Arrow")


def _file_stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
