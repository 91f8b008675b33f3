"""Opens a data file with the parser for its file name extension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.strictjson import loads
from tutelage.data.formats import conll, jsonl, parallel, plain_text, tables
from tutelage.data.formats.arrow_files import ArrowFile
from tutelage.data.formats.blocks import COMPRESSED, Blocks, extension, require_data_file
from tutelage.data.formats.json_document import JsonDocument
from tutelage.data.formats.jsonl import RawRow
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
PLAIN_TEXT = ".txt"
"""The ending of a file that is read as plain text where it is named itself: in folders and beside other texts it may be anything."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file (or several files that belong together line by line), ready to be read once."""

    format: str
    rows: Iterator[RawRow | InputError]
    files: tuple[Blocks, ...]
    unit: Literal["line", "row"] = "line"

    @property
    def sha256(self) -> str:
        """The hash of the decompressed bytes; valid after the last row."""
        hashes = [file.sha256 for file in self.files]
        return hashes[0] if len(hashes) == 1 else hashing.of_json(hashes)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on unusual but harmless properties of the bytes."""
        return tuple(note for file in self.files for note in file.notes)


def format_of(path: Path) -> str | None:
    """The format by a file's extension, ignoring .gz and .zst; None if the extension is unknown."""
    return _FORMATS.get(extension(path))


def open_file(
    path: Path, shown: str, *, columns: Sequence[str] = (), has_header: bool = False, as_conll: bool = False
) -> OpenedFile:
    """Open one file with the parser for its extension.

    Args:
        path: the file.
        shown: its name in errors.
        columns: the columns that are read, or their names for files that do not name them.
        has_header: whether the first line of a table is a header even if it reads like a row.
        as_conll: whether a file with an unknown extension is read as CoNLL.

    Raises:
        InputError: the extension is unknown, or there is no such file.
    """
    format_name = format_of(path) or ("conll" if as_conll else None)
    if format_name in ("parquet", "arrow"):
        if extension(path) != path.suffix.lower():
            raise _compressed_columnar_error(path, shown)
        file = ArrowFile(path, shown, columns)
        return OpenedFile(format_name, file.rows(), (file.blocks,), "row")
    if format_name == "json" and not _is_jsonl(path, shown):
        document = JsonDocument(path, shown)
        return OpenedFile(format_name, document.rows(), (document.lines.blocks,))
    if format_name == "tsv" and not has_header and conll.is_tagged(Lines(path, shown)):
        format_name = "conll"
    lines = Lines(path, shown)
    if format_name in ("jsonl", "json"):
        return OpenedFile("jsonl", jsonl.rows(lines, shown, nan=True), (lines.blocks,))
    if format_name in ("csv", "tsv"):
        delimiter = "," if format_name == "csv" else "\t"
        rows = tables.rows(
            lines,
            shown,
            delimiter=delimiter,
            columns=columns,
            has_header=has_header,
            notes=lines.blocks.notes,
        )
        return OpenedFile(format_name, rows, (lines.blocks,))
    if format_name == "conll":
        return OpenedFile(format_name, conll.rows(lines, shown, columns=columns), (lines.blocks,))
    require_data_file(path, shown)
    if extension(path) == PLAIN_TEXT and not _is_jsonl(path, shown) and not _has_tabs(path, shown):
        parted = plain_text.has_paragraphs(Lines(path, shown))
        return OpenedFile("text", plain_text.rows(lines, paragraphs=parted), (lines.blocks,))
    raise _unknown_format_error(path, shown)


def open_parallel(paths: Sequence[Path], shown: Sequence[str], columns: Sequence[str]) -> OpenedFile:
    """Open several text files that belong together line by line."""
    files = [Lines(path, name) for path, name in zip(paths, shown, strict=True)]
    rows = parallel.rows(files, shown, columns)
    return OpenedFile("parallel lines", rows, tuple(file.blocks for file in files))


def _is_jsonl(path: Path, shown: str) -> bool:
    """Whether a .json file is JSONL: its first line is a complete object, and another line follows."""
    lines = (line for line in Lines(path, shown) if not isinstance(line, Line) or line.text.strip())
    first = next(lines, None)
    try:
        is_object = isinstance(first, Line) and isinstance(loads(first.text, where=shown, nan=True), dict)
    except InputError:
        return False
    return is_object and isinstance(next(lines, None), Line)


def _has_tabs(path: Path, shown: str) -> bool:
    """Whether the first line has a tab, as those of tables have."""
    first = next(iter(Lines(path, shown)), None)
    return isinstance(first, Line) and "\t" in first.text


def _compressed_columnar_error(path: Path, shown: str) -> InputError:
    require_data_file(path, shown)
    return InputError(
        "a file of typed columns is compressed inside, and is not read packed again",
        where=shown,
        found=path.name,
        expected="a .parquet, .arrow or .feather file",
        fix="unpack it, and name the unpacked file",
    )


_ADVICE_BY_EXTENSION = {
    **dict.fromkeys(
        (".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".lz4"), "unpack it, and name what was in it"
    ),
    **dict.fromkeys(
        (".xlsx", ".xls", ".ods", ".db", ".sqlite", ".sqlite3"),
        "save its table as CSV (in a spreadsheet program: CSV UTF-8), and name that file",
    ),
    **dict.fromkeys(
        (".yaml", ".yml", ".xml", ".pkl", ".pickle", ".pt", ".npy"), "write its rows as JSON lines"
    ),
}
"""What to do with a file of an unsupported format, by extension."""


def advice_for(path: Path) -> str | None:
    """What to do with a file of a format that is not read; None for one that holds no rows as far as its ending says."""
    return _ADVICE_BY_EXTENSION.get(path.suffix.lower())


def _unknown_format_error(path: Path, shown: str) -> InputError:
    suffix = extension(path)
    return InputError(
        "the kind of file is not known",
        where=shown,
        found=f"a name that ends in {suffix}" if suffix else "a name without an ending",
        expected="one of "
        + " ".join(EXTENSIONS)
        + ", or a text one of them with "
        + " or ".join(COMPRESSED)
        + " behind it",
        fix=_ADVICE_BY_EXTENSION.get(
            path.suffix.lower(),
            "give the file the ending that says what it is; texts that belong together line by line:"
            "  path: [train.en, train.de]  and  columns: [en, de]  ; CoNLL columns:  layout: entities",
        ),
    )
