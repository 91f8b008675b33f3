"""Reads single values of a record batch's column from the mapped bytes (used by `mapped`).

Arrow's own access to one value takes ten times as long and trusts the offsets in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import calcsize
from typing import Any, NamedTuple

ValueReader = Callable[[int], Any]
_NUMBERS = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float": "f", "double": "d",
}  # fmt: skip
"""Arrow's types of numbers, and Python's codes for them (struct)."""


class TextBuffer(NamedTuple):
    """A text column's buffers: text n is the UTF-8 bytes of `characters` from offsets[n] up to offsets[n + 1].

    The offsets are unchecked: compare each pair with `end`, the number of bytes, before use.
    """

    offsets: Any
    characters: memoryview
    end: int


class Column(NamedTuple):
    """A column of a batch.

    Attributes:
        name: the field's name.
        read: the value at a row of the batch, or None. Raises what Arrow and Python raise on damaged bytes.
        text_buffer: the buffers of a text column without nulls, for fast readers.
    """

    name: str
    read: ValueReader
    text_buffer: TextBuffer | None = None


def open_column(name: str, column: Any) -> Column:
    """Open a column for reading. Raises what Arrow raises if it is damaged."""
    import pyarrow.types as t

    type_name = str(column.type)
    text_buffer = None
    if t.is_string(column.type) or t.is_large_string(column.type):
        text_buffer = _texts(column, "i" if t.is_string(column.type) else "q")
        read = _text_reader(text_buffer)
    elif type_name in _NUMBERS:
        read = _number_reader(column, _NUMBERS[type_name])
    else:
        column.validate(full=True)  # what has places or indices inside is checked once, in full
        return Column(name, lambda row: column[row].as_py())
    return (
        Column(name, _nullable_reader(column, read))
        if column.buffers()[0] is not None
        else Column(name, read, text_buffer)
    )


def _texts(column: Any, code: str) -> TextBuffer:
    _, offsets, data = column.buffers()
    characters = memoryview(data) if data is not None else memoryview(b"")
    return TextBuffer(_typed_view(offsets, code)[column.offset :], characters, len(characters))


def _text_reader(text_buffer: TextBuffer) -> ValueReader:
    offsets, characters, end = text_buffer

    def read(row: int) -> str:
        start, stop = offsets[row], offsets[row + 1]
        if not 0 <= start <= stop <= end:
            raise ValueError(f"a text from byte {start} to {stop} of {end}")
        return str(characters[start:stop], "utf-8")

    return read


def _number_reader(column: Any, code: str) -> ValueReader:
    values, offset = _typed_view(column.buffers()[1], code), column.offset
    return lambda row: values[offset + row]


def _nullable_reader(column: Any, read: ValueReader) -> ValueReader:
    """A reader that returns None where the column is null."""
    validity, offset = memoryview(column.buffers()[0]), column.offset

    def read_or_none(row: int) -> Any:
        bit = offset + row
        return read(row) if validity[bit >> 3] >> (bit & 7) & 1 else None

    return read_or_none


def _typed_view(buffer: Any, code: str) -> Any:
    raw: Any = memoryview(buffer).cast("B")
    return raw[: len(raw) // calcsize(code) * calcsize(code)].cast(code)
