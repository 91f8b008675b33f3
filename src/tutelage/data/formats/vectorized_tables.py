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
from tutelage.data.formats.jsonl import Row

_QUOTE, _LINE_END = 34, 10


class Rows(NamedTuple):
    """The rows of a piece, the bytes that they took, and how many lines those are."""

    rows: list[Row]
    size: int
    lines: int


def quick(raw: bytes, header: Sequence[str], delimiter: str, before: int) -> Rows | None:
    r"""The rows of some lines, when all that end in them are in order; None when someone has to look.

    Args:
        raw: whole lines without \r, from the begin of a row on; the last row may go on behind them, and is left.
        header: the columns' names, at least two: of a blank line one column would make a row.
        delimiter: comma, which lets fields be quoted, or tab, which does not.
        before: number of the line before the first one.
    """
    if len(header) < 2 or b"\0" in raw:
        return None
    data = np.frombuffer(raw, np.uint8)
    marks = (data == ord(delimiter)) | (data == _LINE_END)
    if delimiter == ",":
        marks |= data == _QUOTE
    at = np.flatnonzero(marks)
    what = data[at]
    quotes = what == _QUOTE
    outside = ~quotes & (np.cumsum(quotes) % 2 == 0)
    ends = np.flatnonzero(outside & (what == _LINE_END))
    if not len(ends):
        return None
    upto = int(ends[-1]) + 1
    at, what, quotes, outside = at[:upto], what[:upto], quotes[:upto], outside[:upto]
    stops, shape = at[outside], what[outside]
    if not _well_quoted(data, at[quotes], delimiter) or len(stops) % len(header):
        return None
    shape = shape.reshape(-1, len(header))
    if (shape[:, -1] != _LINE_END).any() or (shape[:, :-1] == _LINE_END).any():
        return None
    lines = np.cumsum(what == _LINE_END)[ends]
    values = _values(raw, data, stops, quoted=delimiter == ",")
    if values is None or (delimiter == "\t" and _blank_line(values, len(header))):
        return None
    size = int(at[-1]) + 1
    plain = not invisible.among(raw)
    numbers = [before + 1, *(lines[:-1] + (before + 1)).tolist()]
    columns = [iter(values)] * len(header)
    rows = [
        Row(number, dict(zip(header, row, strict=True)), 0, plain)
        for number, row in zip(numbers, zip(*columns, strict=True), strict=True)
    ]
    return Rows(rows, size, int(lines[-1]))


def _well_quoted(data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], delimiter: str) -> bool:
    """Whether each first quote of a pair begins a field, and each second one ends it or is doubled."""
    if not len(quotes):
        return True
    allowed = np.zeros(256, bool)
    allowed[[ord(delimiter), _LINE_END, _QUOTE]] = True
    opens, closes = quotes[::2], quotes[1::2]
    first = opens[1:] if opens[0] == 0 else opens
    return bool(allowed[data[first - 1]].all() and allowed[data[closes + 1]].all())


def _blank_line(values: list[str], width: int) -> bool:
    """Whether a line holds nothing but spaces and tabs, and is no row."""
    for at in range(0, len(values), width):
        if (not values[at] or values[at].isspace()) and not "".join(values[at : at + width]).strip():
            return True
    return False


def _values(
    raw: bytes, data: npt.NDArray[np.uint8], stops: npt.NDArray[np.int64], *, quoted: bool
) -> list[str] | None:
    """The fields' texts; None when one is no UTF-8."""
    starts = np.concatenate(([0], stops[:-1] + 1))
    if quoted:
        inside = data[starts] == _QUOTE
        starts, stops = starts + inside, stops - inside
    try:
        values = [
            raw[start:stop].decode() for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        ]
    except UnicodeDecodeError:
        return None
    if quoted and b'""' in raw:
        for place in np.flatnonzero(inside).tolist():
            if '"' in values[place]:
                values[place] = values[place].replace('""', '"')
    return values
