"""Rows kept by what an annotation file says of them, such as MMLU-Redux's of MMLU.

Such files are kept by hand: some have semicolons, some are not UTF-8. Both are recognised, and what matches no row is said.
"""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.benchmarks.rowspec import Filter
from tutelage.core import files
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Json

_Key = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows of a part that its annotations keep, and what is to be said of it."""

    rows: Sequence[tuple[int, Example]]
    notes: tuple[str, ...]


def kept_rows(told: Filter, part: str, rows: Sequence[tuple[int, Example]], path: Path | None) -> Kept:
    """The rows that are annotated, and annotated with a value that keeps them.

    Args:
        told: the filter.
        part: the part's name.
        rows: its rows, each with its number.
        path: its annotations; None where there are none.

    Raises:
        InputError: the annotations are no CSV, or lack a column.
    """
    if path is None:
        return Kept((), (f"{part}: no annotations",))
    annotations = _read(path)
    lacking = [name for name in (*told.match, *told.keep) if not annotations or name not in annotations[0]]
    if lacking:
        raise InputError(
            "the annotations lack a column",
            where=str(path),
            found=", ".join(annotations[0]) if annotations else "no rows",
            expected=", ".join(lacking),
        )
    keys = {_key([_texts(one[name]) for name in told.match]): _keeps(told, one) for one in annotations}
    kept, met = [], set()
    for number, row in rows:
        key = _key([_columns(row, own) for own in told.match.values()])
        met.add(key)
        if keys.get(key):
            kept.append((number, row))
    lost = sum(key not in met for key in keys)
    notes = (f"{part}: {lost} of {len(keys)} annotations belong to no row",) if lost else ()
    return Kept(kept, notes)


def _keeps(told: Filter, annotation: Mapping[str, str | None]) -> bool:
    return all(
        (annotation[name] or "").strip().casefold() in {value.casefold() for value in values}
        for name, values in told.keep.items()
    )


def _columns(row: Example, own: str | tuple[str, ...]) -> list[Json]:
    values: list[Json] = []
    for name in (own,) if isinstance(own, str) else own:
        if name not in row.fields:
            raise InputError(
                f"the row has no column {name}", where=str(row.origin), found=", ".join(row.fields)
            )
        value = row.fields[name]
        values += value if isinstance(value, list) else [value]
    return values


def _texts(cell: str | None) -> list[Json]:
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
    """What tells rows apart, whatever space is between words."""
    return tuple(tuple(" ".join(str(value).split()) for value in values) for values in columns)


def _read(path: Path) -> list[dict[str, str | None]]:
    content = files.read_bytes(path, what="the annotations", fix="put them where the spec's filter says")
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
