"""A file to its raw rows, by the ending of its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.strictjson import loads
from tutelage.data.formats import conll, jsonl, parallel, tables
from tutelage.data.formats.arrow_files import ArrowFile
from tutelage.data.formats.blocks import PACKED, ending, require_data_file
from tutelage.data.formats.json_document import JsonDocument
from tutelage.data.formats.jsonl import Row
from tutelage.data.formats.lines import Line, Lines

_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
}
EXTENSIONS = tuple(_FORMATS)


class _Read(Protocol):
    """What was read, once it was."""

    notes: list[str]

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A file, or several that are read as one, ready to be read once."""

    format: str
    rows: Iterator[Row | InputError]
    held: tuple[_Read, ...]
    unit: Literal["line", "row"] = "line"

    @property
    def sha256(self) -> str:
        """The hash of the bytes read, unpacked; after the last row."""
        hashes = [one.sha256 for one in self.held]
        return hashes[0] if len(hashes) == 1 else hashing.of_json(hashes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was unusual about the bytes and harmless."""
        return tuple(note for one in self.held for note in one.notes)


def format_of(path: Path) -> str | None:
    """The format that a file's name says, .gz and .zst behind it put aside; None when it says none."""
    return _FORMATS.get(ending(path))


def open_file(
    path: Path, shown: str, *, columns: Sequence[str] = (), sure: bool = False, sentences: bool = False
) -> Opened:
    """Open one file by its ending.

    Args:
        path: the file.
        shown: its name in errors.
        columns: names of the columns, for files that do not name them.
        sure: whether the first line of a table is a header, whatever it reads like.
        sentences: whether a file whose ending says nothing holds CoNLL columns.

    Raises:
        InputError: the ending is not known, or there is no such file.
    """
    kind = format_of(path) or ("conll" if sentences else None)
    if kind in ("parquet", "arrow"):
        if ending(path) != path.suffix.lower():
            raise _packed_columns(path, shown)
        file = ArrowFile(path, shown, ending(path))
        return Opened(kind, file.rows(), (file,), "row")
    if kind == "json" and not _by_lines(path, shown):
        document = JsonDocument(path, shown)
        return Opened(kind, document.rows(), (document,))
    lines = Lines(path, shown)
    if kind in ("jsonl", "json"):
        return Opened("jsonl", jsonl.rows(lines, shown), (lines,))
    if kind in ("csv", "tsv"):
        delimiter = "," if kind == "csv" else "\t"
        rows = tables.rows(lines, shown, delimiter=delimiter, columns=columns, sure=sure)
        return Opened(kind, rows, (lines,))
    if kind == "conll":
        return Opened(kind, conll.rows(lines, shown, columns=columns), (lines,))
    require_data_file(path, shown)
    raise _unknown(path, shown)


def open_parallel(paths: Sequence[Path], shown: Sequence[str], columns: Sequence[str]) -> Opened:
    """Open files whose lines belong together."""
    files = [Lines(path, name) for path, name in zip(paths, shown, strict=True)]
    return Opened("parallel lines", parallel.rows(files, shown, columns), tuple(files))


def _by_lines(path: Path, shown: str) -> bool:
    """Whether a .json file has one object a line: its first line is a whole one, and another one follows."""
    first: Line | None = None
    for line in Lines(path, shown):
        if isinstance(line, InputError):
            return False
        if not line.text.strip():
            continue
        if first is not None:
            return True
        try:
            if not isinstance(loads(line.text, where=shown), dict):
                return False
        except InputError:
            return False
        first = line
    return False


def _packed_columns(path: Path, shown: str) -> InputError:
    require_data_file(path, shown)
    return InputError(
        "a file of typed columns is compressed inside, and is not read packed again",
        where=shown,
        found=path.name,
        expected="a .parquet, .arrow or .feather file",
        fix="unpack it, and name the unpacked file",
    )


_UNPACK = "unpack it, and name what was in it"
_SAVE = "save its table as CSV, and name that"
_FIXES = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".lz4"), _UNPACK),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".db", ".sqlite", ".sqlite3"), _SAVE),
    **dict.fromkeys(
        (".yaml", ".yml", ".xml", ".pkl", ".pickle", ".pt", ".npy"), "write its rows as JSON lines"
    ),
}
"""By ending: what to do with a file of a kind that is not read."""


def _unknown(path: Path, shown: str) -> InputError:
    suffix = ending(path)
    return InputError(
        "the kind of file is not known",
        where=shown,
        found=f"a name that ends in {suffix}" if suffix else "a name without an ending",
        expected="one of "
        + " ".join(EXTENSIONS)
        + ", or a text one of them with "
        + " or ".join(PACKED)
        + " behind it",
        fix=_FIXES.get(
            path.suffix.lower(),
            "give the file the ending that says what it is; texts that belong together line by line:"
            "  path: [train.en, train.de]  and  columns: [en, de]  ; CoNLL columns:  layout: entities",
        ),
    )
