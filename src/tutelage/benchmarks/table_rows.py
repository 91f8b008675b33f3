"""Rows of data files with their columns uninterpreted, and the values of their columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import Example, Json, Origin
from tutelage.data.formats import open_parallel, tables
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.formats.lines import Lines
from tutelage.data.layouts import ReadOptions
from tutelage.data.reader import ExampleReader, read


def read_table(path: Path, columns: Sequence[str]) -> list[Example]:
    """Read a file's rows without interpreting their columns; a .txt file has tabs between them."""
    if path.suffix == ".txt":
        return _rows_with_tabs(path, columns)
    rows = list(read(path, options=ReadOptions(layout="plain", columns=tuple(columns))))
    if path.suffix == ".csv" and (cells := _cells_with_returns(path)):
        body = cells if columns else cells[1:]
        rows = [
            replace(row, fields=dict(zip(row.fields, values, strict=True)))
            for row, values in zip(rows, body, strict=True)
        ]
    return rows


def read_entities(path: Path, columns: Sequence[str]) -> list[Example]:
    """Read sentences of tokens with a tag each; CoNLL where the file's name does not say what it is."""
    return list(read(path, options=ReadOptions(layout="entities", columns=tuple(columns))))


def read_parallel(paths: Sequence[Path], columns: Sequence[str]) -> list[Example]:
    """Read texts whose lines belong together, one file a column."""
    names = [str(path) for path in paths]
    rows = open_parallel(paths, names, columns)
    return list(ExampleReader(rows, names[0], ReadOptions(layout="plain", columns=tuple(columns))))


def has_header(path: Path, columns: Sequence[str]) -> bool:
    """Whether the first line of a table names columns; always where none are asked for."""
    if not columns:
        return True
    first = next(iter(Lines(path, str(path))), None)
    if first is None or isinstance(first, InputError):
        return False
    separator = "," if ".csv" in path.suffixes else "\t"
    return set(columns) <= set(first.text.rstrip("\r\n").split(separator))


def _rows_with_tabs(path: Path, columns: Sequence[str]) -> list[Example]:
    table = tables.rows(Lines(path, str(path)), str(path), delimiter="\t", columns=columns, has_header=True)
    rows = [
        row if isinstance(row, InputError) else _example(path, number, row)
        for number, row in enumerate(table)
    ]
    raise_all(str(path), [row for row in rows if isinstance(row, InputError)][:MAX_MISTAKES])
    return [row for row in rows if not isinstance(row, InputError)]


def _example(path: Path, number: int, row: RawRow) -> Example:
    return Example(f"{path.name}:{number}", row.fields, Origin(str(path), row.line))


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
