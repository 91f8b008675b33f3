"""A column of a record batch, read a value at a time out of the mapped bytes.

Arrow's own way to one value takes ten times as long, and trusts the places that the file says.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import calcsize
from typing import Any, NamedTuple

Read = Callable[[int], Any]
_NUMBERS = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float": "f", "double": "d",
}  # fmt: skip
"""Arrow's types of numbers, and Python's codes for them (struct)."""


class Texts(NamedTuple):
    """Where a column's texts are: text n is the UTF-8 bytes of `characters` from offsets[n] up to offsets[n + 1].

    Nothing is checked before: each two offsets must be held against `end`, the number of bytes.
    """

    offsets: Any
    characters: memoryview
    end: int


class Column(NamedTuple):
    """A column of a batch.

    Attributes:
        name: the field's.
        read: the value at a row, None where there is none. Raises what Arrow and Python raise on damaged bytes.
        texts: the same for who reads many texts, where every row has one.
    """

    name: str
    read: Read
    texts: Texts | None = None


def column_of(name: str, column: Any) -> Column:
    """A column, ready to be read. Raises what Arrow raises on one that is damaged."""
    import pyarrow.types as t

    kind = str(column.type)
    texts = None
    if t.is_string(column.type) or t.is_large_string(column.type):
        texts = _texts(column, "i" if t.is_string(column.type) else "q")
        read = _reading(texts)
    elif kind in _NUMBERS:
        read = _numbers(column, _NUMBERS[kind])
    else:
        column.validate(full=True)  # what has places or indices inside is checked once, in full
        return Column(name, lambda row: column[row].as_py())
    return (
        Column(name, _given(column, read)) if column.buffers()[0] is not None else Column(name, read, texts)
    )


def _texts(column: Any, code: str) -> Texts:
    _, places, data = column.buffers()
    characters = memoryview(data) if data is not None else memoryview(b"")
    return Texts(_view(places, code)[column.offset :], characters, len(characters))


def _reading(texts: Texts) -> Read:
    offsets, characters, end = texts

    def read(row: int) -> str:
        start, stop = offsets[row], offsets[row + 1]
        if not 0 <= start <= stop <= end:
            raise ValueError(f"a text from byte {start} to {stop} of {end}")
        return str(characters[start:stop], "utf-8")

    return read


def _numbers(column: Any, code: str) -> Read:
    values, first = _view(column.buffers()[1], code), column.offset
    return lambda row: values[first + row]


def _given(column: Any, read: Read) -> Read:
    """None where the column has no value."""
    bits, first = memoryview(column.buffers()[0]), column.offset

    def given(row: int) -> Any:
        bit = first + row
        return read(row) if bits[bit >> 3] >> (bit & 7) & 1 else None

    return given


def _view(buffer: Any, code: str) -> Any:
    whole: Any = memoryview(buffer).cast("B")
    return whole[: len(whole) // calcsize(code) * calcsize(code)].cast(code)
