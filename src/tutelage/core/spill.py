"""Sequences of rows that spill to disk: beyond a number of rows, they lie in a file and each is read when it is accessed.

The file has no name, so it disappears with the last process that reads it, however that ends. A row on disk costs eight bytes of
memory, for its offset in the file.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple, TypeVar, cast, overload

from tutelage.core.errors import MachineError

IN_MEMORY = 20_000
"""The most rows of a sequence in memory; with one more, all of them are on disk."""
_BLOCK = 1 << 20  # bytes that are read or written at once
_FOLDERS = ("/var/tmp", "/tmp")  # noqa: S108 - the first is on a disk where the second may be memory; no name is made there

T = TypeVar("T")


class RowFormat(NamedTuple, Generic[T]):
    """How a row is written as bytes without a line end, and read back as an equal row."""

    write: Callable[[T], bytes]
    read: Callable[[bytes], T]


def spill_rows(rows: Iterable[T], row_format: RowFormat[T]) -> Sequence[T]:
    """Store rows as a sequence: a tuple of a few, a file of many.

    Args:
        rows: the rows; they are read once.
        row_format: how a row is written.

    Raises:
        MachineError: the disk is full. What `rows` raises goes through, and no file is left behind.
    """
    remaining = iter(rows)
    first_rows = list(islice(remaining, IN_MEMORY + 1))
    if len(first_rows) <= IN_MEMORY:
        return tuple(first_rows)
    file = _scratch_file()
    try:
        offsets = _write_rows(file, row_format, first_rows, remaining)
    except BaseException:
        file.close()
        raise
    return DiskRows(file, offsets, row_format)


def open_rows(path: Path, row_format: RowFormat[T]) -> Sequence[T]:
    """The rows that a file holds, one a line as `RowFormat.write` gives it: a tuple of a few, else the file itself.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no row; of many rows this is raised when the row is accessed.
    """
    file = cast("BinaryIO", path.open("rb"))
    offsets = array("Q", accumulate(map(len, file), initial=0))
    rows = DiskRows(file, offsets, row_format, gap=1)
    if offsets[-1] and _read(file, offsets[-1] - 1, 1) != b"\n":
        file.close()
        raise ValueError("the last line has no end")
    return tuple(rows) if len(rows) <= IN_MEMORY else rows


class _LazyRows(Sequence[T], ABC):
    """A sequence whose rows are read when they are accessed."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        indices = range(len(self))[index]
        if isinstance(indices, range):
            return tuple(self._rows_at(indices))
        return next(self._rows_at((indices,)))

    def __iter__(self) -> Iterator[T]:
        return self._rows_at(range(len(self)))

    @abstractmethod
    def _rows_at(self, indices: Sequence[int]) -> Iterator[T]:
        """The rows with these indices (from 0 to the length), in their order."""


class DiskRows(_LazyRows[T]):
    """Rows in a file. Each access reads a row anew: two give equal rows, but not the same object."""

    def __init__(
        self, file: BinaryIO, offsets: array[int], row_format: RowFormat[T], *, gap: int = 0
    ) -> None:
        self._file = file
        self._offsets = offsets
        self._format = row_format
        self._gap = gap  # bytes between two rows
        weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def _rows_at(self, indices: Sequence[int]) -> Iterator[T]:
        if isinstance(indices, range) and indices.step == 1:
            yield from self._read_range(indices.start, indices.stop)
        else:
            for index in indices:
                yield from self._read_range(index, index + 1)

    def _read_range(self, start: int, stop: int) -> Iterator[T]:
        """Consecutive rows, read in blocks of whole rows."""
        offsets, read_row = self._offsets, self._format.read
        while start < stop:
            end = start + 1
            while end < stop and offsets[end + 1] - offsets[start] <= _BLOCK:
                end += 1
            first = offsets[start]
            block = _read(self._file, first, offsets[end] - first)
            for index in range(start, end):
                yield read_row(block[offsets[index] - first : offsets[index + 1] - first - self._gap])
            start = end


class SelectedRows(_LazyRows[T]):
    """A view of some of a sequence's rows, in a given order."""

    def __init__(self, rows: Sequence[T], indices: Sequence[int]) -> None:
        self._rows = rows
        self._indices = array("Q", indices)

    def __len__(self) -> int:
        return len(self._indices)

    def _rows_at(self, indices: Sequence[int]) -> Iterator[T]:
        return (self._rows[self._indices[index]] for index in indices)


def select_rows(rows: Sequence[T], indices: Sequence[int]) -> Sequence[T]:
    """Select rows by index: a tuple where the rows are in memory, else a view."""
    if isinstance(rows, DiskRows | SelectedRows):
        return SelectedRows(rows, indices)
    return tuple(rows[index] for index in indices)


def _write_rows(
    file: BinaryIO, row_format: RowFormat[T], first_rows: list[T], remaining: Iterable[T]
) -> array[int]:
    """Write rows in blocks; gives the offset of each row, and the end of the last. `first_rows` is emptied on the way."""
    offsets = array("Q", [0])
    pending = bytearray()
    for rows in (first_rows, remaining):
        for row in rows:
            content = row_format.write(row)
            pending += content
            offsets.append(offsets[-1] + len(content))
            if len(pending) >= _BLOCK:
                _write_all(file, pending)
                pending = bytearray()
        first_rows.clear()
    _write_all(file, pending)
    return offsets


def _write_all(file: BinaryIO, content: bytearray) -> None:
    """Write all of some bytes: a file without a buffer may write a part of them."""
    unwritten = memoryview(content)
    try:
        while unwritten:
            unwritten = unwritten[file.write(unwritten) :]
    except OSError as error:
        raise _disk_full(error) from error


def _scratch_file() -> BinaryIO:
    """A file without a name, on a disk where there is one."""
    folder = None
    if "TMPDIR" not in os.environ:
        folder = next((path for path in _FOLDERS if os.access(path, os.W_OK | os.X_OK)), None)
    try:
        return cast("BinaryIO", tempfile.TemporaryFile(dir=folder, buffering=0))
    except OSError as error:
        raise _disk_full(error) from error


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    content = os.pread(file.fileno(), size, start)
    while len(content) < size:  # a signal may cut a read short; no bytes at all are the end of the file
        more = os.pread(file.fileno(), size - len(content), start + len(content))
        if not more:
            raise MachineError(
                "rows that were put aside are not there any more",
                where="the folder for temporary files",
                found=f"{len(content)} of {size} bytes",
                fix="run the same command again; TMPDIR names another folder",
            )
        content += more
    return content


def _disk_full(error: OSError) -> MachineError:
    return MachineError(
        "the rows do not fit into the folder for temporary files",
        where=os.environ.get("TMPDIR", _FOLDERS[0]),
        found=error.strerror or str(error),
        expected="room for the rows, in words and in tokens",
        fix="free some space, or name another folder with the variable TMPDIR",
    )
