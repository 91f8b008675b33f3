"""Sequences of rows that stay small in memory: beyond so many, rows lie in a file and are read when they are looked at.

The file has no name: it goes with the last who reads it, however the process ends. What is kept on disk costs eight bytes a row
in memory, for where it begins.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple, TypeVar, cast, overload

from tutelage.core.errors import MachineError

IN_MEMORY = 20_000
"""Rows of a sequence that are held in memory; with one more, all of it lies in a file."""
_BLOCK = 1 << 20  # bytes that are read or written at once
_PLACES = ("/var/tmp", "/tmp")  # noqa: S108 - the first is on a disk where the second may be memory; no name is made there

T = TypeVar("T")


class Form(NamedTuple, Generic[T]):
    """How a row is written as bytes without a line end, and read again; what is read equals what was written."""

    write: Callable[[T], bytes]
    read: Callable[[bytes], T]


def kept(rows: Iterable[T], form: Form[T]) -> Sequence[T]:
    """The rows as a sequence: a tuple of a few, a file of many.

    Args:
        rows: read once.
        form: how one is written.

    Raises:
        MachineError: the disk does not take them. What `rows` raises goes through, and nothing is left behind.
    """
    few: list[T] = []
    source = iter(rows)
    for row in source:
        few.append(row)
        if len(few) > IN_MEMORY:
            break
    else:
        return tuple(few)
    file = _scratch()
    try:
        starts = _written(file, form, few, source)
    except BaseException:
        file.close()
        raise
    return OnDisk(file, starts, form)


def opened(path: Path, form: Form[T]) -> Sequence[T]:
    """The rows that a file holds, one a line as `Form.write` gives it: a tuple of a few, else the file itself.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no row; of many rows this is found out when it is looked at.
    """
    file = path.open("rb")
    starts = array("Q", [0])
    at = 0
    while block := file.read(_BLOCK):
        found = block.find(b"\n")
        while found >= 0:
            starts.append(at + found + 1)
            found = block.find(b"\n", found + 1)
        at += len(block)
    rows = OnDisk(cast("BinaryIO", file), starts, form, behind=1)
    if starts[-1] != at:
        file.close()
        raise ValueError("the last line has no end")
    return tuple(rows) if len(rows) <= IN_MEMORY else rows


class _Looked(Sequence[T], ABC):
    """Rows that are read when they are looked at: those at some places (from 0 to the length), in their order."""

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...
    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        found = self._at(range(len(self))[place] if isinstance(place, slice) else (range(len(self))[place],))
        return tuple(found) if isinstance(place, slice) else next(found)

    def __iter__(self) -> Iterator[T]:
        return self._at(range(len(self)))

    @abstractmethod
    def _at(self, places: Sequence[int]) -> Iterator[T]:
        """The rows."""


class OnDisk(_Looked[T]):
    """Rows in a file, in their order. Each look reads a row anew: two looks give equal rows and not the same one."""

    def __init__(self, file: BinaryIO, starts: array[int], form: Form[T], *, behind: int = 0) -> None:
        self._file = file
        self._starts = starts
        self._form = form
        self._behind = behind  # bytes between two rows
        weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _at(self, places: Sequence[int]) -> Iterator[T]:
        if isinstance(places, range) and places.step == 1:
            yield from self._from(places.start, places.stop)
        else:
            for place in places:
                yield from self._from(place, place + 1)

    def _from(self, start: int, stop: int) -> Iterator[T]:
        """The rows of some places, read in blocks of whole rows."""
        starts, read = self._starts, self._form.read
        while start < stop:
            end = start + 1
            while end < stop and starts[end + 1] - starts[start] <= _BLOCK:
                end += 1
            first = starts[start]
            block = _read(self._file, first, starts[end] - first)
            for at in range(start, end):
                yield read(block[starts[at] - first : starts[at + 1] - first - self._behind])
            start = end


class Picked(_Looked[T]):
    """Some of a sequence's rows, in a given order, without a copy of them."""

    def __init__(self, rows: Sequence[T], places: Sequence[int]) -> None:
        self._rows = rows
        self._places = array("Q", places)

    def __len__(self) -> int:
        return len(self._places)

    def _at(self, places: Sequence[int]) -> Iterator[T]:
        return (self._rows[self._places[place]] for place in places)


def picked(rows: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    """Some rows of a sequence: a tuple where the rows are in memory, else a view."""
    if isinstance(rows, OnDisk | Picked):
        return Picked(rows, places)
    return tuple(rows[place] for place in places)


def _written(file: BinaryIO, form: Form[T], few: list[T], more: Iterable[T]) -> array[int]:
    starts = array("Q", [0])
    waiting: list[bytes] = []
    held = at = 0
    for rows in (few, more):
        for row in rows:
            made = form.write(row)
            waiting.append(made)
            held += len(made)
            at += len(made)
            starts.append(at)
            if held >= _BLOCK:
                _put(file, waiting)
                waiting, held = [], 0
        few.clear()
    _put(file, waiting)
    return starts


def _put(file: BinaryIO, pieces: list[bytes]) -> None:
    """Write all of some bytes; the file has no buffer of its own."""
    left = memoryview(b"".join(pieces))
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise _full(error) from error


def _scratch() -> BinaryIO:
    """A file without a name, on a disk where there is one."""
    place = None
    if "TMPDIR" not in os.environ:
        place = next((one for one in _PLACES if os.access(one, os.W_OK | os.X_OK)), None)
    try:
        return cast("BinaryIO", tempfile.TemporaryFile(dir=place, buffering=0))
    except OSError as error:
        raise _full(error) from error


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


def _full(error: OSError) -> MachineError:
    return MachineError(
        "the rows do not fit into the folder for temporary files",
        where=os.environ.get("TMPDIR", _PLACES[0]),
        found=error.strerror or str(error),
        expected="room for the rows, in words and in tokens",
        fix="free some space, or name another folder with the variable TMPDIR",
    )
