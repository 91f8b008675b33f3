r"""Whole pieces of a CSV or TSV file to rows at once, where nothing about them is doubtful.

Where fields and records end is found for all bytes of a piece together. What is not plainly as RFC 4180 writes it (a quote inside
a bare field, text behind a closing one, a ragged row, a blank line, a lone \r, a NUL, bytes that are no UTF-8) is left to
`tables`, which reads line by line and says what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tutelage.data.formats import invisible
from tutelage.data.formats.jsonl import RawRow

_QUOTE, _LINE_END = 34, 10


class Rows(NamedTuple):
    """The rows of a piece, the bytes that they took, and how many lines those are."""

    rows: list[RawRow]
    byte_count: int
    line_count: int


def read_rows(raw: bytes, header: Sequence[str], delimiter: str, line_before: int) -> Rows | None:
    r"""The rows of some lines, when all that end in them are in order; None when someone has to look.

    Args:
        raw: whole lines without \r, from the begin of a row on; the last row may go on behind them, and is left.
        header: the columns' names, at least two: of a blank line one column would make a row.
        delimiter: comma, which lets fields be quoted, or tab, which does not.
        line_before: number of the line before the first one.
    """
    if len(header) < 2 or b"\0" in raw:
        return None
    data = np.frombuffer(raw, np.uint8)
    is_mark = (data == ord(delimiter)) | (data == _LINE_END)
    if delimiter == ",":
        is_mark |= data == _QUOTE
    mark_positions = np.flatnonzero(is_mark)
    marks = data[mark_positions]
    quotes = marks == _QUOTE
    outside = ~quotes & (np.cumsum(quotes) % 2 == 0)
    ends = np.flatnonzero(outside & (marks == _LINE_END))
    if not len(ends):
        return None
    end = int(ends[-1]) + 1
    mark_positions, marks, quotes, outside = mark_positions[:end], marks[:end], quotes[:end], outside[:end]
    field_ends, terminators = mark_positions[outside], marks[outside]
    if not _well_quoted(data, mark_positions[quotes], delimiter) or len(field_ends) % len(header):
        return None
    terminators = terminators.reshape(-1, len(header))
    if (terminators[:, -1] != _LINE_END).any() or (terminators[:, :-1] == _LINE_END).any():
        return None
    line_ends = np.cumsum(marks == _LINE_END)[ends]
    values = _decode_values(raw, data, field_ends, quoted=delimiter == ",")
    if values is None or (delimiter == "\t" and _blank_line(values, len(header))):
        return None
    byte_count = int(mark_positions[-1]) + 1
    no_invisible = not invisible.in_bytes(raw)
    numbers = [line_before + 1, *(line_ends[:-1] + (line_before + 1)).tolist()]
    columns = [iter(values)] * len(header)
    rows = [
        RawRow(number, dict(zip(header, row, strict=True)), 0, no_invisible)
        for number, row in zip(numbers, zip(*columns, strict=True), strict=True)
    ]
    return Rows(rows, byte_count, int(line_ends[-1]))


def _well_quoted(data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], delimiter: str) -> bool:
    """Whether each first quote of a pair begins a field, and each second one ends it or is doubled."""
    if not len(quotes):
        return True
    allowed = np.zeros(256, bool)
    allowed[[ord(delimiter), _LINE_END, _QUOTE]] = True
    opens, closes = quotes[::2], quotes[1::2]
    checked = opens[1:] if opens[0] == 0 else opens
    return bool(allowed[data[checked - 1]].all() and allowed[data[closes + 1]].all())


def _blank_line(values: list[str], width: int) -> bool:
    """Whether a line holds nothing but spaces and tabs, and is no row."""
    for start in range(0, len(values), width):
        if (not values[start] or values[start].isspace()) and not "".join(
            values[start : start + width]
        ).strip():
            return True
    return False


def _decode_values(
    raw: bytes, data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], *, quoted: bool
) -> list[str] | None:
    """The fields' texts; None when one is no UTF-8."""
    starts = np.concatenate(([0], ends[:-1] + 1))
    if quoted:
        is_quoted = data[starts] == _QUOTE
        starts, ends = starts + is_quoted, ends - is_quoted
    try:
        values = [
            raw[start:stop].decode() for start, stop in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
    except UnicodeDecodeError:
        return None
    if quoted and b'""' in raw:
        for index in np.flatnonzero(is_quoted).tolist():
            if '"' in values[index]:
                values[index] = values[index].replace('""', '"')
    return values
