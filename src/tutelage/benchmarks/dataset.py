"""The rows of a benchmark's data: where they are, which parts are here, which a filter keeps."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.benchmarks.annotations import kept_rows
from tutelage.benchmarks.rowspec import PART, RowsSpec
from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.types import Example, Json
from tutelage.data.layouts import ReadOptions
from tutelage.data.reader import read


@dataclass(frozen=True, slots=True)
class Places:
    """Where a benchmark's files may be: beside its spec, unless it is a bundled one, and in the data folder."""

    beside: Path | None
    data: Path | None

    def find(self, file: str) -> Path | None:
        """The file, or None where neither place has it."""
        return next((place / file for place in self._all if (place / file).is_file()), None)

    def said(self, file: str) -> str:
        """Where it was looked for."""
        return (
            "no file " + " nor ".join(str(place / file) for place in self._all)
            if self._all
            else "no data folder"
        )

    @property
    def _all(self) -> list[Path]:
        return [place for place in (self.beside, self.data) if place is not None]


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a benchmark's parts.

    Attributes:
        rows: of each part that is here, each with its number in its file or part, from 0.
        missing: the parts that are not.
        notes: what else is to be said of the data.
    """

    rows: Mapping[str, Sequence[tuple[int, Example]]]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_parts(spec: RowsSpec, places: Places, *, filtered: str = "", parts: Sequence[str] = ()) -> Found:
    """Read the rows of a benchmark, or of some of its parts.

    Args:
        spec: where they are.
        places: the folders to look in.
        filtered: the name of a filter of the spec, "" for none.
        parts: only these, all when empty.

    Raises:
        InputError: nothing of it is here, or a file is not what it should be.
    """
    rows, missing = (_by_file if PART in spec.data.path else _by_column)(spec, places, parts)
    if not rows:
        raise InputError(
            f"the data of {spec.name} is not here",
            where="--data",
            found=places.said(spec.data.path),
            expected=f"the files of {spec.source}" if spec.source else None,
            fix="fetch them, and name the folder that they are in with --data",
        )
    if not filtered:
        return Found(rows, missing)
    kept: dict[str, Sequence[tuple[int, Example]]] = {}
    notes: list[str] = []
    for part, own in rows.items():
        told = spec.filters[filtered]
        found = kept_rows(told, part, own, places.find(told.path.replace(PART, part)))
        if found.rows:
            kept[part] = found.rows
        notes += found.notes
    if not kept:
        raise InputError(
            f"the filter {filtered} keeps nothing",
            where=spec.name,
            found="; ".join(notes[:3]) or "no row that is annotated so",
            expected=f"annotations in {spec.filters[filtered].path}",
        )
    gone = tuple(part for part in rows if part not in kept)
    return Found(kept, (*missing, *gone), tuple(notes))


def _by_file(
    spec: RowsSpec, places: Places, parts: Sequence[str]
) -> tuple[dict[str, Sequence[tuple[int, Example]]], tuple[str, ...]]:
    rows: dict[str, Sequence[tuple[int, Example]]] = {}
    missing = []
    for part in parts or spec.parts:
        path = places.find(spec.data.path.replace(PART, part))
        if path is None:
            missing.append(part)
        else:
            rows[part] = list(enumerate(read_rows(path, spec.data.columns)))
    return rows, tuple(missing)


def _by_column(
    spec: RowsSpec, places: Places, parts: Sequence[str]
) -> tuple[dict[str, Sequence[tuple[int, Example]]], tuple[str, ...]]:
    path = places.find(spec.data.path)
    if path is None:
        return {}, tuple(spec.parts)
    everything = read_rows(path, spec.data.columns)
    if not spec.data.part:
        return {spec.name: list(enumerate(everything))}, ()
    rows: dict[str, list[tuple[int, Example]]] = {part: [] for part in spec.parts}
    for row in everything:
        name = str(value_of(row, spec.data.part))
        if name not in rows and spec.parts:
            raise InputError(
                "there is no such part",
                where=str(row.origin),
                found=shorten(name),
                expected=", ".join(spec.parts),
            )
        own = rows.setdefault(name, [])
        own.append((len(own), row))
    here = {part: own for part, own in rows.items() if own and (not parts or part in parts)}
    return dict(here), tuple(part for part in parts or spec.parts if part not in here)


def read_rows(path: Path, columns: Sequence[str]) -> list[Example]:
    """A file's rows as they stand there."""
    rows = list(read(path, options=ReadOptions(layout="plain", columns=tuple(columns))))
    if path.suffix == ".csv" and (cells := _with_returns(path)):
        named = cells if columns else cells[1:]
        rows = [
            replace(row, fields=dict(zip(row.fields, own, strict=True)))
            for row, own in zip(rows, named, strict=True)
        ]
    return rows


def _with_returns(path: Path) -> list[list[str]]:
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
