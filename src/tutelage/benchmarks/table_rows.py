"""Rows of data files with their columns uninterpreted, and the values of their columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Json
from tutelage.data.layouts import ReadOptions
from tutelage.data.reader import read


def read_table(path: Path, columns: Sequence[str]) -> list[Example]:
    """Read a file's rows without interpreting their columns."""
    rows = list(read(path, options=ReadOptions(layout="plain", columns=tuple(columns))))
    if path.suffix == ".csv" and (cells := _cells_with_returns(path)):
        body = cells if columns else cells[1:]
        rows = [
            replace(row, fields=dict(zip(row.fields, values, strict=True)))
            for row, values in zip(rows, body, strict=True)
        ]
    return rows


def _cells_with_returns(path: Path) -> list[list[str]]:
    """The cells of a table whose lines end in a line feed alone, and that has a carriage return inside a cell.

    The reader takes the two for one end of line wherever they stand, as is right for files whose lines end so. In these they are
    part of what a published prompt says.
    """
    content = path.read_bytes()
    if b"\r\n" not in content or content.split(b"\n", 1)[0].endswith(b"\r"):
        return []
    return [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]


def value_of(row: Example, column: str) -> Json:
    """A column's value; an InputError where the row has no such column."""
    if column not in row.fields:
        raise InputError(
            f"the row has no column {column}", where=str(row.origin), found=", ".join(row.fields)
        )
    return row.fields[column]
