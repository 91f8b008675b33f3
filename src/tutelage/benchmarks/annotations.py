"""Filters by an annotation file, such as MMLU-Redux's of MMLU.

Such files are edited by hand: some have semicolons, some are not UTF-8. Both are recognised, and annotations that match no row
are counted.
"""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.benchmarks.rows_spec import RowFilter
from tutelage.benchmarks.table_rows import value_of
from tutelage.core import regular
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Json

_Key = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class FilteredRows:
    """The rows of a part that a filter keeps, and notes for the user."""

    rows: Sequence[tuple[int, Example]]
    notes: tuple[str, ...]


def filter_rows(
    row_filter: RowFilter, part: str, rows: Sequence[tuple[int, Example]], path: Path | None
) -> FilteredRows:
    """Keep the rows of a part that are annotated with a value that the filter accepts.

    Args:
        row_filter: which columns identify a row, and which values it accepts.
        part: the part's name.
        rows: its rows, each with its number.
        path: its annotations; None where there are none.

    Raises:
        InputError: the annotations are no CSV, or lack a column.
    """
    if path is None:
        return FilteredRows((), (f"{part}: no annotations",))
    annotations = _read(path)
    columns = annotations[0] if annotations else {}
    missing = [name for name in (*row_filter.match, *row_filter.keep) if name not in columns]
    if missing:
        raise InputError(
            "the annotations lack a column",
            where=str(path),
            found=", ".join(columns) or "no rows",
            expected=", ".join(missing),
        )
    accepted = {
        _key([_cell_texts(annotation[name]) for name in row_filter.match]): _accepts(row_filter, annotation)
        for annotation in annotations
    }
    keys = [_key([_column_texts(row, names) for names in row_filter.match.values()]) for _, row in rows]
    filtered = [row for row, key in zip(rows, keys, strict=True) if accepted.get(key)]
    unmatched = len(accepted.keys() - set(keys))
    notes = (f"{part}: {unmatched} of {len(accepted)} annotations belong to no row",) if unmatched else ()
    return FilteredRows(filtered, notes)


def _accepts(row_filter: RowFilter, annotation: Mapping[str, str | None]) -> bool:
    return all(
        (annotation[name] or "").strip().casefold() in {value.casefold() for value in values}
        for name, values in row_filter.keep.items()
    )


def _column_texts(row: Example, names: str | tuple[str, ...]) -> list[Json]:
    """The values of a column, or of several, as one list."""
    values: list[Json] = []
    for name in (names,) if isinstance(names, str) else names:
        value = value_of(row, name)
        values += value if isinstance(value, list) else [value]
    return values


def _cell_texts(cell: str | None) -> list[Json]:
    """A cell's text, or its texts where it holds a list written as Python or JSON does."""
    text = cell or ""
    if text.lstrip().startswith("["):
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [text]
        if isinstance(value, list):
            return value
    return [text]


def _key(columns: Sequence[Sequence[Json]]) -> _Key:
    """The texts that identify a row, whatever space is between words."""
    return tuple(tuple(" ".join(str(value).split()) for value in values) for values in columns)


def _read(path: Path) -> list[dict[str, str | None]]:
    content = regular.read_regular(
        path, subject="the annotations", fix="put them where the spec's filter says"
    )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"the annotations are no CSV: {error}", where=str(path)) from None
    return [{name: value for name, value in row.items() if isinstance(name, str)} for row in rows]
