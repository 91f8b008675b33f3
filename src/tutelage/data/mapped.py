"""Rows of an Arrow file at random places, without the file in memory.

The file is mapped, and a row's bytes are read when it is asked for. What stays in memory is one small description of each
record batch, 1 to 2 KB: write batches of a thousand rows or more. Nothing is read in full when the file is opened, so rows
are checked when they are taken: the places of their texts, then the texts.
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
from tutelage.data.formats.arrow_values import ArrowRowDecoder, bad, damaged, is_plain, not_utf8
from tutelage.data.formats.blocks import empty, opened, require_data_file
from tutelage.data.mapped_column import Column, column_of

Ints = npt.NDArray[np.int64]
ExampleReader = Callable[[int], list[Json] | None]
_ENDINGS = (".arrow", ".feather")
_KEPT = 1 << 15
"""Batches of a file whose columns' places are remembered: about 2 KB each."""
_LOOK_EVERY = 0.1
"""Seconds between two looks whether the file is still the same."""
_BROKEN = (OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError)
"""What Arrow raises on a file that is not as it should be."""


class MappedRows(Sequence[Example]):
    """The rows of an Arrow file, or of a part of it, as `Example`s with their row numbers.

    Files and streams of Arrow's IPC format can be mapped (`.arrow`, `.feather`, and the cache files of `datasets`), if they
    were written without compression. Values are as `data.read` gives them.

    Args:
        path: the file.
        shown: its name in errors and origins; `path` when not given.
        name: what its rows are called by; the file's name when not given.

    Raises:
        InputError: no such file, another format, compressed, damaged, or without rows.
    """

    def __init__(self, path: Path, *, shown: str | None = None, name: str | None = None) -> None:
        self._file = _File(path, shown or str(path))
        self._name = name or path.name
        self._start, self._stop = 0, self._file.rows

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the file, or read in another way."""
        return tuple(self._file.cells.notes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that every row has."""
        return tuple(self._file.cells.columns)

    def part(self, start: int, stop: int, *, name: str | None = None) -> MappedRows:
        """The rows from `start` up to `stop` of these, over the same mapping; row numbers stay the file's.

        Raises:
            ValueError: there are not so many rows.
        """
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"no part from {start} to {stop} of {len(self)} rows")
        made = object.__new__(MappedRows)
        made._file, made._name = self._file, name or self._name
        made._start, made._stop = self._start + start, self._start + stop
        return made

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: Any) -> Any:
        """The row at a place, from the end where it is negative; a `part` for a slice.

        Raises:
            IndexError: no such row.
            InputError: as `take`.
        """
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("a part of the rows has no step: use take")
            return self.part(start, max(start, stop))
        return self.take([index + len(self) if index < 0 else index])[0]

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), 1024):
            yield from self.take(range(start, min(start + 1024, len(self))))

    def reader(self, columns: Sequence[str]) -> ExampleReader:
        """What reads a few columns of one row after another, sooner than `take`.

        Args:
            columns: the fields that are read; nothing else of a row is looked at.

        Returns:
            A function of a row's place (0 and up): the values that `take` gives, in the columns' order. None where they
            are more than texts, numbers, true or false, and where anything is wrong with the row: `take` says what.
        """
        cells = self._file.cells
        if not all(name in cells.columns and cells.as_it_stands(name) for name in columns):
            return lambda _: None
        places = [cells.columns.index(name) for name in columns]
        return self._file.reader(places, range(self._start, self._stop))

    def take(self, indices: Sequence[int] | Ints) -> list[Example]:
        """The rows at some places, in the order asked for.

        Raises:
            IndexError: no such row.
            InputError: the file was changed or is damaged there, or a row cannot be read; with its number.
        """
        start, stop = self._start, self._stop
        cells, name, shown = self._file.cells, self._name, self._file.shown
        self._file.unchanged()
        found: list[Example] = []
        for index in indices.tolist() if isinstance(indices, np.ndarray) else indices:
            place = start + index
            if not start <= place < stop:
                raise IndexError(f"row {index} of {stop - start}")
            number = place + 1
            fields = cells.fields(self._file.row(place), number)
            found.append(Example(f"{name}:{number}", fields, Origin(shown, number, "row")))
        return found


class _File:
    """A mapped file: its batches, and where in them each row is."""

    def __init__(self, path: Path, shown: str) -> None:
        import pyarrow as pa

        self.path, self.shown = path, shown
        if path.suffix.lower() not in _ENDINGS:
            raise InputError(
                "only Arrow files can be mapped",
                where=shown,
                found=path.suffix or "a name without ending",
                expected=" or ".join(_ENDINGS),
                fix="write the rows as an uncompressed Arrow file (pyarrow.feather.write_feather)",
            )
        require_data_file(path, shown)
        with opened(path, shown) as file:
            head = file.read(8)
            self._stamp = _stamp(os.fstat(file.fileno()))
        if not head:
            raise empty(shown, "0 bytes")
        self._looked = -math.inf
        self.rows = 0
        self._columns: dict[int, tuple[Column, ...]] = {}
        try:
            self._mapped = pa.memory_map(str(path))
            opening = pa.ipc.open_file if head.startswith(b"ARROW1") else pa.ipc.open_stream
            source = opening(self._mapped)
            self.cells = ArrowRowDecoder(source.schema, shown)
        except _BROKEN as error:
            raise self._broken(0, error) from None
        self._batches = list(self._read(source))
        self._starts = list(accumulate((batch.num_rows for batch in self._batches), initial=0))
        if not self.rows:
            raise empty(shown, "no rows")

    def _read(self, source: Any) -> Iterator[Any]:
        """The batches that have rows; their buffers' sizes are checked, not what stands in them."""
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
            except _BROKEN as error:
                raise self._broken(self.rows, error) from None
            if not self.rows and batch.num_rows:
                self._refuse_compressed(batch)
            self.rows += batch.num_rows
            if batch.num_rows:
                yield batch.select(self.cells.columns)

    def _refuse_compressed(self, batch: Any) -> None:
        """Arrow unpacks what is compressed into memory: then a buffer lies outside of the mapping."""
        place = self._mapped.tell()
        self._mapped.seek(0)
        whole = self._mapped.read_buffer()
        self._mapped.seek(place)
        buffers = (buffer for column in batch.columns for buffer in column.buffers() if buffer)
        if all(whole.address <= one.address < whole.address + whole.size for one in buffers if one.size):
            return
        raise InputError(
            "the Arrow file is compressed, so its rows cannot be read at random places",
            where=self.shown,
            found="compressed buffers",
            expected="an uncompressed file",
            fix='write it with pyarrow.feather.write_feather(table, path, compression="uncompressed")',
        )

    def unchanged(self) -> None:
        """Raise when the file is no longer the one that was mapped: reading beyond a new end would end the process."""
        now = monotonic()
        if now - self._looked < _LOOK_EVERY:  # a mixture takes a row or two at a time from each of its tasks
            return
        self._looked = now
        if _stamp(self.path.stat()) != self._stamp:
            self._looked = -math.inf
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
        place = number - self._starts[batch]
        try:
            columns = self._columns.get(batch) or self._open(batch)
            return {name: read(place) for name, read, _ in columns}
        except (*_BROKEN, OverflowError) as error:
            raise self._wrong(number, error) from None

    def reader(self, columns: Sequence[int], part: range) -> ExampleReader:
        """What reads some columns at a place in a part of the rows; None where the values are for `Cells` to judge.

        It runs once for every row of a mixture, so all is done on the spot.
        """
        starts, opened, broken = self._starts, self._columns, (*_BROKEN, OverflowError)

        def read(place: int) -> list[Json] | None:
            if monotonic() - self._looked >= _LOOK_EVERY:
                self.unchanged()
            number = part[place]
            batch = bisect_right(starts, number) - 1
            row = number - starts[batch]
            values: list[Json] = []
            try:
                found = opened.get(batch) or self._open(batch)
                for column in columns:
                    _, value_at, texts = found[column]
                    if texts is None:
                        value = value_at(row)
                        wrong = not is_plain(value)
                    else:
                        offsets, characters, end = texts
                        begin, stop = offsets[row], offsets[row + 1]
                        if not 0 <= begin <= stop <= end:
                            return None
                        value = str(characters[begin:stop], "utf-8")
                        wrong = "\0" in value
                    if wrong:
                        return None
                    values.append(value)
            except broken:
                return None
            return values

        return read

    def _open(self, batch: int) -> tuple[Column, ...]:
        if len(self._columns) >= _KEPT:
            self._columns.clear()
        columns = self._batches[batch].columns
        made = tuple(column_of(*both) for both in zip(self.cells.columns, columns, strict=True))
        self._columns[batch] = made
        return made

    def _wrong(self, number: int, error: Exception) -> InputError:
        where = self.cells.where(number + 1)
        if isinstance(error, UnicodeDecodeError):
            return not_utf8(where, error.reason)
        if isinstance(error, OverflowError):
            return bad(where, "a value cannot be read", str(error), "text or a number")
        return self._broken(number, error)

    def _broken(self, number: int, error: Exception) -> InputError:
        where = f"{self.shown}, row {number + 1}"
        return damaged(where, str(error) or type(error).__name__, "Arrow")


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
