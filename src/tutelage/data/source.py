"""Finds and reads a task's rows: files beside the recipe, files under the data folder, or a dataset of the hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tutelage.core import hashing
from tutelage.core.errors import InputError, MachineError
from tutelage.core.regular import require_regular, unreadable
from tutelage.core.serialization import EXAMPLE
from tutelage.core.spill import spill_rows
from tutelage.core.strictjson import json_kind, loads, shorten
from tutelage.core.types import Example, Json
from tutelage.data import hub, repository
from tutelage.data.files import (
    expand_paths,
    name_several_splits,
    parallel_columns,
    require_one_format,
    short_names,
)
from tutelage.data.formats import open_parallel
from tutelage.data.formats.blocks import require_data_file
from tutelage.data.formats.lines import Lines
from tutelage.data.layouts import LabelMapping, Layout, ReadOptions
from tutelage.data.reader import DroppedRow, ExampleReader, open_reader, too_many_dropped_error


@dataclass(frozen=True, slots=True)
class LabelNames:
    """The names of a label column's values, as the recipe gives them.

    Attributes:
        names: value to name, or the names in the order of the values 0, 1, 2, ...
        file: a file with the names instead: a JSON list or object, or one name a line. Relative like the data's path.
        column: the label column; detected by its name if not given.
        options: whether each row gets all names as the field `options`.
    """

    names: Mapping[str, str] | Sequence[str] = ()
    file: str | None = None
    column: str | None = None
    options: bool = False


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where rows are and how to read them: a `path`, a `hub` dataset (with an optional `local` copy), or `local` files.

    Attributes:
        path: a data file, a glob, a folder, or several of them, relative to the recipe's folder.
        hub: a dataset on the hub as `owner/name` or `owner/name@revision`.
        hub_split: the hub's name of the split to read.
        hub_config: the dataset's configuration, if it has several.
        local: with `hub`: a local copy (a file, or a folder laid out like the repository) under the data folder, read
            instead of the hub if it exists. Without `hub`: a file, a glob or a folder under the data folder.
        layout: the layout of the rows; detected if not given.
        turns: which assistant turns of a conversation become rows.
        join_turns: whether turns of one speaker in a row are joined.
        columns: the columns to read; in a file that does not name them, their names.
        labels: label names, for classification.
        on_bad_row: whether a bad row stops the reading or is dropped.
        needs_answers: whether every row must hold its answer; rows that are only to be answered need none.
    """

    path: str | tuple[str, ...] | None = None
    hub: str | None = None
    hub_split: str = "train"
    hub_config: str | None = None
    local: str | tuple[str, ...] | None = None
    layout: str | None = None
    turns: Literal["every", "last"] = "every"
    join_turns: bool = False
    columns: tuple[str, ...] = ()
    labels: LabelNames | None = None
    on_bad_row: Literal["stop", "drop"] = "stop"
    needs_answers: bool = True

    def __post_init__(self) -> None:
        alone = self.local is not None and self.path is None
        if (self.path is None) == (self.hub is None) and not alone:
            raise InputError(
                "a data source is a path, a dataset on the hub, or a local one under the data folder",
                found="both" if self.path else "neither",
                expected="one of path, hub, local",
                fix="keep one of them",
            )


@dataclass(frozen=True, slots=True)
class LoadedData:
    """The rows that were read from a source.

    Attributes:
        examples: the rows; beyond some thousands they are kept on disk.
        source: what the data card reports: kind, file, format, layout, sha256, revision, rows, notes.
        dropped: the bad rows that were dropped.
        template: the library template that goes with the layout; None if the columns decide.
        columns: the columns that hold something and that the layout leaves to the template; none if the recipe picks columns.
    """

    examples: Sequence[Example]
    source: dict[str, Json] = field(default_factory=dict)
    dropped: tuple[DroppedRow, ...] = ()
    template: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files of a source before they are read.

    Attributes:
        paths: their local paths.
        shown: their names in errors and row origins.
        description: what the data card reports about them.
        options: how to read them.
    """

    paths: Sequence[Path]
    shown: Sequence[str]
    description: dict[str, Json]
    options: ReadOptions


def load(source: DataSource, *, root: Path, data_dir: Path | None = None) -> LoadedData:
    """Read all rows of a source: `find`, then `read_all`, with their arguments and errors."""
    return read_all(find(source, root=root, data_dir=data_dir))


def find(source: DataSource, *, root: Path, data_dir: Path | None = None) -> SourceFiles:
    """Find the files of a source, and download them if they are on the hub only.

    Args:
        source: where they are.
        root: the recipe's folder.
        data_dir: the data folder, for `local`.

    Raises:
        InputError: there are no files, or the file with label names is wrong.
        MachineError: the hub is needed and cannot be reached; the error says what to copy by hand, and where to.
    """
    if source.hub is None:
        paths = files_of(source, root=root, data_dir=data_dir)
        description: dict[str, Json] = {
            "kind": "path" if source.path else "local",
            "file": ", ".join(_names(source)),
        }
        options = _read_options(source, root if source.path else data_dir or root)
        if len(paths) > 1:
            description["files"] = [*short_names(paths)]
        if name_several_splits(paths):
            options.note(
                "files called after several splits were read as one set, which is split anew", len(paths)
            )
        return SourceFiles(paths, [str(path) for path in paths], description, options)
    name, _, revision = source.hub.partition("@")
    if isinstance(source.local, str) and data_dir is not None and _exists(data_dir / source.local):
        path = data_dir / source.local
        description = {"kind": "local", "file": source.local, "hub": source.hub}
        paths = [path]
        if path.is_dir():
            folder, commit = repository.resolve_snapshot(path, revision or None)
            snapshot = hub.files_in_folder(folder, str(path), source.hub_split, source.hub_config)
            paths = snapshot.paths
            description |= {"split": source.hub_split, "revision": commit, "files": [*snapshot.names]}
        else:
            require_data_file(path, str(path))
        return SourceFiles(paths, [str(path) for path in paths], description, _read_options(source, data_dir))
    fetched = _fetch(source, data_dir)
    return SourceFiles(
        fetched.paths,
        [f"{name}@{fetched.commit[:8]}/{file}" for file in fetched.names],
        {
            "kind": "hub",
            "hub": name,
            "split": source.hub_split,
            "revision": fetched.commit,
            "files": [*fetched.names],
        },
        _read_options(source, root),
    )


def _exists(path: Path) -> bool:
    """Whether the path exists. Raises InputError if the system does not allow the check."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise unreadable(path, error, subject="the local copy of the data") from None
    return True


def files_of(source: DataSource, *, root: Path, data_dir: Path | None = None) -> list[Path]:
    """The files of a source that is not on the hub, in order.

    Raises:
        InputError: a glob or folder has no data files or several formats, or no data folder is named.
    """
    if source.path is not None:
        return expand_paths(root, _names(source))
    if data_dir is None:
        raise InputError(
            "the rows lie under the data folder, and none is named",
            where="data.local",
            found=str(source.local),
            expected="the folder that holds it",
            fix="name it with --data DIR or the variable TUTELAGE_DATA",
        )
    if not data_dir.is_dir():
        is_file = data_dir.exists()
        raise InputError(
            "the data folder is a file" if is_file else "the data folder is not there",
            where=str(data_dir),
            found="a file" if is_file else f"no such folder: {data_dir.absolute()}",
            expected="the folder that holds " + ", ".join(_names(source)),
            fix="correct --data or the variable TUTELAGE_DATA",
        )
    fix = f"check the name; `local` is relative to the data folder {data_dir.absolute()}"
    return expand_paths(data_dir, _names(source), where="data.local", fix=fix)


def _names(source: DataSource) -> tuple[str, ...]:
    names = source.local if source.path is None else source.path
    assert names is not None
    return (names,) if isinstance(names, str) else tuple(names)


def _fetch(source: DataSource, data_dir: Path | None) -> hub.HubFiles:
    assert source.hub is not None
    try:
        return hub.fetch(source.hub, source.hub_split, config=source.hub_config)
    except MachineError as error:
        missing_copy = ""
        if isinstance(source.local, str) and data_dir is not None:
            missing_copy = f"; no local copy at {data_dir / source.local} either"
        raise MachineError(
            error.problem,
            where=error.where,
            found=f"{error.found}{missing_copy}",
            fix=_manual_steps(source, data_dir),
        ) from error


def _manual_steps(source: DataSource, data_dir: Path | None) -> str:
    where = f"the split {source.hub_split} of {source.hub}"
    if not isinstance(source.local, str):
        return (
            f"on a machine with network fetch {where}, bring it here and name it as data.path in the recipe"
        )
    if data_dir is None:
        return f"name the folder that holds {source.local} with --data or TUTELAGE_DATA, or fetch {where} and put it there"
    return f"on a machine with network fetch {where} and put it at {data_dir / source.local}"


def _read_options(source: DataSource, root: Path) -> ReadOptions:
    labels = None
    if source.labels is not None:
        file = source.labels.file
        names = _read_label_names(root / file) if file else _by_value(source.labels.names)
        labels = LabelMapping(names, source.labels.column, source.labels.options)
    return ReadOptions(
        layout=source.layout,
        turns=source.turns,
        join_turns=source.join_turns,
        columns=source.columns,
        labels=labels,
        on_bad_row=source.on_bad_row,
        needs_answers=source.needs_answers,
    )


def _by_value(names: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """Label names by value; the values of a list are 0, 1, 2, ..."""
    return dict(names) if isinstance(names, Mapping) else {str(i): name for i, name in enumerate(names)}


def _read_label_names(path: Path) -> dict[str, str]:
    """Read label names by value: a JSON list of names, a JSON object of value to name, or a text file with one name a line.

    Raises:
        InputError: the file is missing or holds something else.
    """
    fix = "check the name; it is relative as the data is"
    require_regular(path, subject="the file of label names", fix=fix)
    texts: list[str] = []
    for line in Lines(path, str(path)):
        if isinstance(line, InputError):
            raise line
        texts.append(line.text)
    value: Json = [text.strip() for text in texts if text.strip()]
    if path.suffix.lower() == ".json":
        value = loads("\n".join(texts), where=str(path))
    names = _by_value(value) if isinstance(value, list | dict) else {}
    if names and all(isinstance(name, str) and name.strip() for name in names.values()):
        return names
    raise InputError(
        "the file holds no label names",
        where=str(path),
        found=f"{json_kind(value)}: {shorten(str(value), 40)}",
        expected='["name", ...] or {"0": "name", ...}, or a text file with a name a line',
        fix="write the names so, or into the recipe as labels.names",
    )


def read_all(files: SourceFiles) -> LoadedData:
    """Read all rows of a source's files.

    Raises:
        InputError: a file or its rows are wrong; InputErrors for several rows.
    """
    shown, options = files.shown, files.options
    readers = _readers(files.paths, shown, options)
    examples = spill_rows(_read_in_one_layout(readers), EXAMPLE)
    dropped = [row for reader in readers for row in reader.dropped]
    notes: list[Json] = [note for reader in readers for note in reader.notes]
    notes.extend(f"{count} {note}" for note, count in options.notes.items())
    layout = readers[0].layout
    assert layout is not None
    hashes = [reader.opened.sha256 for reader in readers]
    row_count = len({str(example.origin) for example in examples}) if dropped else len(examples)
    if len(dropped) > row_count:
        raise too_many_dropped_error(", ".join(shown[:3]), dropped, row_count)
    return LoadedData(
        examples,
        {
            **files.description,
            "format": readers[0].opened.format,
            "layout": layout.name,
            "sha256": hashes[0] if len(hashes) == 1 else hashing.of_json(hashes),
            "rows": len(examples),
            "notes": notes,
        },
        tuple(dropped),
        layout.template,
        () if options.columns else _unread_columns(readers, layout),
    )


def _unread_columns(readers: Sequence[ExampleReader], layout: Layout) -> tuple[str, ...]:
    """The columns that hold something and that the layout does not read."""
    names = dict.fromkeys(name for reader in readers for name in reader.values.filled)
    return tuple(name for name in names if not layout.reads(name))


def _read_in_one_layout(readers: Sequence[ExampleReader]) -> Iterator[Example]:
    """The rows of all files, read in the layout of the first."""
    for reader in readers:
        reader.layout = readers[0].layout
        yield from reader


def _readers(paths: Sequence[Path], shown: Sequence[str], options: ReadOptions) -> list[ExampleReader]:
    columns = parallel_columns(paths, options.columns)
    if columns is not None:
        options = replace(options, columns=columns)
        open_rows = open_parallel(paths, shown, columns)
        return [ExampleReader(open_rows, shown[0], options)]
    require_one_format(paths, "data.path")
    return [
        open_reader(path, name, options, name=short_name)
        for path, name, short_name in zip(paths, shown, short_names(paths), strict=True)
    ]
