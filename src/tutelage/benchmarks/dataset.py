"""The rows of a benchmark's parts: where their files are, and which rows a filter keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.benchmarks.annotations import filter_rows
from tutelage.benchmarks.fields import is_per_part, path_of_part
from tutelage.benchmarks.part_sources import SourcedRows, hub_paths, read_source, source_paths
from tutelage.benchmarks.rows_spec import RowsSpec
from tutelage.benchmarks.table_rows import has_header, read_table, value_of
from tutelage.core.errors import InputError
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Example


class DataNotFoundError(InputError):
    """Files of a benchmark are in none of the folders where they may be."""


def is_missing_data(error: InputError) -> bool:
    """Whether an error says only that files of a benchmark were not found."""
    return all(isinstance(mistake, DataNotFoundError) for mistake in error.mistakes)


@dataclass(frozen=True, slots=True)
class DataFolders:
    """The folders where a benchmark's files may be.

    Attributes:
        spec: the folder of the spec; None for a bundled one.
        data: the data folder; None where there is none.
    """

    spec: Path | None
    data: Path | None

    def find(self, file: str) -> Path | None:
        """The path of a file, as it is or compressed (`.gz`), or None where neither folder has it."""
        candidates = [path for path in self._candidates(file) for path in (path, Path(f"{path}.gz"))]
        return next((path for path in candidates if path.is_file()), None)

    def searched(self, file: str) -> str:
        """Where a file was looked for, in words."""
        candidates = self._candidates(file)
        return "no file " + " nor ".join(map(str, candidates)) if candidates else "no data folder"

    def _candidates(self, file: str) -> list[Path]:
        return [folder / file for folder in (self.spec, self.data) if folder is not None]


NumberedRows = Sequence[tuple[int, Example]]
"""Rows of a part, each with its number in its file or part, from 0."""


@dataclass(frozen=True, slots=True)
class PartRows:
    """The rows of a benchmark's parts.

    Attributes:
        rows: the rows of each part whose data was found.
        missing: the parts whose data was not found.
        notes: what the user should know of the data.
        substitutes: the parts whose rows are not the official ones.
    """

    rows: Mapping[str, NumberedRows]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()
    substitutes: tuple[str, ...] = ()


def read_parts(
    spec: RowsSpec, folders: DataFolders, *, filter_name: str = "", parts: Sequence[str] = ()
) -> PartRows:
    """Read the rows of a benchmark, or of some of its parts.

    Args:
        spec: where they are.
        folders: the folders to look in.
        filter_name: the filter of the spec that rows must pass; "" for none.
        parts: only these, all when empty.

    Raises:
        DataNotFoundError: no part's data was found.
        InputError: a file is not what it should be, or the filter leaves nothing.
    """
    part_rows = _of_all_parts(spec, folders, parts)
    if not part_rows.rows:
        raise DataNotFoundError(
            f"the data of {spec.name} is not here",
            where="--data",
            found=folders.searched(spec.data.path or _first_path(spec, parts)),
            expected=f"the files of {spec.source}" if spec.source else None,
            fix=_how_to_get(spec, folders),
        )
    return _filtered(spec, part_rows, folders, filter_name) if filter_name else part_rows


def _how_to_get(spec: RowsSpec, folders: DataFolders) -> str:
    """What to do for a benchmark whose data is not here: a command fetches what is on the hub."""
    if spec.hub_datasets():
        return (
            f"tutelage benchmarks fetch {folders.spec or spec.name}, or name the folder of a copy with --data"
        )
    return "fetch them, and name the folder that they are in with --data"


def _filtered(spec: RowsSpec, part_rows: PartRows, folders: DataFolders, filter_name: str) -> PartRows:
    """The rows that a filter of the spec keeps."""
    row_filter = spec.filters[filter_name]
    results = {
        part: filter_rows(row_filter, part, rows, folders.find(path_of_part(row_filter.path, part)))
        for part, rows in part_rows.rows.items()
    }
    notes = [note for result in results.values() for note in result.notes]
    rows = {part: result.rows for part, result in results.items() if result.rows}
    if not rows:
        raise InputError(
            f"the filter {filter_name} keeps nothing",
            where=spec.name,
            found="; ".join(notes[:3]) or "no row that is annotated so",
            expected=f"annotations in {row_filter.path}",
        )
    emptied = tuple(part for part in part_rows.rows if part not in rows)
    return replace(
        part_rows, rows=rows, missing=(*part_rows.missing, *emptied), notes=(*part_rows.notes, *notes)
    )


def _of_all_parts(spec: RowsSpec, folders: DataFolders, parts: Sequence[str]) -> PartRows:
    """The rows of parts that have sources, and of the others from the benchmark's file or files."""
    names = list(parts or spec.parts)
    sourced = [name for name in names if spec.parts[name].sources] if spec.parts else []
    if not sourced:
        return (_by_file if is_per_part(spec.data.path) else _by_column)(spec, folders, parts)
    rows: dict[str, NumberedRows] = {}
    notes = []
    for name in sourced:
        read = _from_sources(spec, folders, name)
        if read is not None:
            rows[name] = read.rows
            notes += [(name, read.substitute)] if read.substitute else []
    others = [name for name in names if name not in sourced]
    rest = _of_all_parts(spec, folders, others) if others else PartRows({}, ())
    together = {**rows, **rest.rows}
    return PartRows(
        {name: together[name] for name in names if name in together},
        tuple(name for name in names if name not in together),
        (*rest.notes, *(note for _, note in notes)),
        tuple(name for name, _ in notes),
    )


def _from_sources(spec: RowsSpec, folders: DataFolders, part: str) -> SourcedRows | None:
    """The rows of the first source all of whose files are there; None where there is none."""
    for source in spec.parts[part].sources:
        if source.hub is not None:
            paths = hub_paths(source.hub, folders.data)
        else:
            paths = _files_of(source_paths(source, part), spec.data.folders, folders)
        if paths and all(has_header(path, source.header) for path in paths):
            return read_source(source, part, paths)
    return None


def _files_of(files: Sequence[str], prefixes: Sequence[str], folders: DataFolders) -> Sequence[Path]:
    """The paths of all files, below the first prefix that has them all; none where there is no such prefix."""
    for prefix in prefixes:
        paths = [path for file in files if (path := folders.find(f"{prefix}/{file}".lstrip("/"))) is not None]
        if len(paths) == len(files):
            return paths
    return []


def first_file(spec: RowsSpec) -> str:
    """The path below a data folder of the first file of a benchmark whose rows are not on the hub."""
    path = spec.data.path or _first_path(spec, ())
    return path_of_part(path, next(iter(spec.parts))) if is_per_part(path) else path


def _first_path(spec: RowsSpec, parts: Sequence[str]) -> str:
    part = next(iter(parts or spec.parts))
    source = spec.parts[part].sources[0]
    if source.hub is not None:
        return source.hub.name
    return f"{spec.data.folders[0]}/{source_paths(source, part)[0]}".lstrip("/")


def _by_file(spec: RowsSpec, folders: DataFolders, parts: Sequence[str]) -> PartRows:
    paths = {part: folders.find(path_of_part(spec.data.path, part)) for part in parts or spec.parts}
    rows = {
        part: list(enumerate(read_table(path, spec.data.columns)))
        for part, path in paths.items()
        if path is not None
    }
    return PartRows(rows, tuple(part for part in paths if part not in rows))


def _by_column(spec: RowsSpec, folders: DataFolders, parts: Sequence[str]) -> PartRows:
    path = folders.find(spec.data.path)
    if path is None:
        return PartRows({}, tuple(spec.parts))
    all_rows = read_table(path, spec.data.columns)
    if not spec.data.part:
        return PartRows({spec.name: list(enumerate(all_rows))}, ())
    rows: dict[str, list[tuple[int, Example]]] = {part: [] for part in spec.parts}
    for row in all_rows:
        part = str(value_of(row, spec.data.part))
        if part not in rows and spec.parts:
            raise unknown_name("there is no such part", part, spec.parts, where=str(row.origin))
        part_rows = rows.setdefault(part, [])
        part_rows.append((len(part_rows), row))
    selected = {
        name: part_rows for name, part_rows in rows.items() if part_rows and (not parts or name in parts)
    }
    return PartRows(selected, tuple(name for name in parts or spec.parts if name not in selected))
