"""Rows of a part that may lie in several places and layouts: the first one whose files are there is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.benchmarks.fields import HubRows, path_of_part
from tutelage.benchmarks.row_layouts import layout
from tutelage.benchmarks.rows_spec import RowsSource
from tutelage.benchmarks.table_rows import read_entities, read_parallel, read_table, value_of
from tutelage.core.errors import InputError, MachineError
from tutelage.core.strictjson import shorten
from tutelage.core.types import Example, Json
from tutelage.data import hub
from tutelage.data.repository import README, resolve_snapshot


@dataclass(frozen=True, slots=True)
class SourcedRows:
    """The rows of a part, and why they are not the official ones ("" where they are)."""

    rows: Sequence[tuple[int, Example]]
    substitute: str


def read_source(source: RowsSource, part: str, paths: Sequence[Path]) -> SourcedRows:
    """Read a part's rows from the files of one source.

    Args:
        source: how the files are laid out.
        part: the part's name.
        paths: its files, in order; rows are numbered through all of them, from 0.

    Raises:
        InputError: a file is not what it should be, or lacks a column, with file and line.
    """
    raw = _rows(source, paths)
    selected = list(enumerate(raw))[source.first - 1 : source.last]
    renamed = [(number, _renamed(row, source.rename)) for number, row in selected]
    if source.layout:
        expand = layout(source.layout)
        questions = [question for _, row in renamed for question in expand(row)]
        renamed = list(enumerate(questions))
    rows = [(number, _with_values(row, source.values)) for number, row in renamed]
    return SourcedRows(rows, f"{part}: {source.substitute}" if source.substitute else "")


def hub_paths(rows: HubRows, data: Path | None) -> Sequence[Path]:
    """The files of a split in a copy of its repository in the data folder, else in the hub's cache; none where neither is there.

    A copy may lack configurations. The cache has what other programs fetched, and a split is there or not.

    Raises:
        InputError: the copy has the configuration, and no such split.
    """
    copy = None if data is None else data / rows.name
    if copy is not None and copy.is_dir():
        folder, _ = resolve_snapshot(copy, None)
        if rows.config and not (folder / rows.config).is_dir() and not (folder / README).is_file():
            return []
        return hub.files_in_folder(folder, str(copy), rows.split, rows.config).paths
    snapshot = hub.cached_snapshot(rows.name, None)
    with suppress(InputError):
        return (
            []
            if snapshot is None
            else hub.files_in_folder(snapshot, rows.name, rows.split, rows.config).paths
        )
    return []


def fetch_hub_rows(rows: HubRows) -> Sequence[Path]:
    """Download a split into the hub's cache.

    Raises:
        InputError: there is no such dataset or split.
        MachineError: the hub cannot be reached.
    """
    try:
        return hub.fetch(rows.name, rows.split, config=rows.config).paths
    except MachineError as error:
        fix = f"on a machine with network copy the dataset {rows.name}, and put it at DIR/{rows.name} with --data DIR"
        raise MachineError(error.problem, where=error.where, found=error.found, fix=fix) from error


def source_paths(source: RowsSource, part: str) -> tuple[str, ...]:
    """The files of a source, with the part's name filled in."""
    return tuple(path_of_part(path, part) for path in source.paths)


def _rows(source: RowsSource, paths: Sequence[Path]) -> list[Example]:
    if source.read == "parallel":
        return read_parallel(paths, source.columns)
    read = read_entities if source.read == "entities" else read_table
    return [row for path in paths for row in read(path, source.columns)]


def _renamed(row: Example, names: Mapping[str, str]) -> Example:
    if not names:
        return row
    for column in names:
        value_of(row, column)
    return replace(row, fields={names.get(name, name): value for name, value in row.fields.items()})


def _with_values(row: Example, tables: Mapping[str, Mapping[str, str]]) -> Example:
    fields: dict[str, Json] = dict(row.fields)
    for column, table in tables.items():
        value = _as_text(value_of(row, column))
        if value not in table:
            raise InputError(
                f"the column {column} holds an unknown value",
                where=str(row.origin),
                found=shorten(value),
                expected=", ".join(table),
            )
        fields[column] = table[value]
    return replace(row, fields=fields)


def _as_text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
