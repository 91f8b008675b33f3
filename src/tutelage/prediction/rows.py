"""The rows that are answered: of a file, of lines of text, or of Python values, each with an id in the order of the input."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.core import regular
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Json
from tutelage.data import LoadedData, find, read_all
from tutelage.prediction.prompt_source import PromptSource

LINES = "standard input"
VALUES = "rows"
TEXT_SUFFIX = ".txt"
"""Of a file whose lines are read as those of standard input."""

Rows = Path | Sequence[str | Mapping[str, Json]]
"""A data file, texts that each fill the prompt's one column, or rows of columns."""


@dataclass(frozen=True, slots=True)
class NamedRows:
    """The rows that are answered.

    Attributes:
        data: the rows as they were read.
        ids: the id of each in the output: that of its own column `id` where every row has one, else its place.
    """

    data: LoadedData
    ids: tuple[Json, ...]


def read_rows(rows: Rows, source: PromptSource, *, shown: str = VALUES) -> NamedRows:
    """Read the rows that are to be answered.

    Args:
        rows: a file of any format and layout that recipes take, texts, or rows.
        source: where their prompts come from, which says how a file is read.
        shown: what texts or rows are called in errors.

    Raises:
        InputError: the file or a row is wrong, or there are no rows; InputErrors for several.
    """
    if isinstance(rows, Path) and rows.suffix.lower() == TEXT_SUFFIX:
        content = regular.read_regular(rows, subject="the file of questions", fix="check the name")
        return read_rows(lines_of(content, where=str(rows)), source, shown=str(rows))
    if isinstance(rows, Path):
        data = read_all(find(source.source(rows), root=source.root))
        return NamedRows(data, _ids(data.examples, from_file=True))
    if not any(not isinstance(row, str) or row.strip() for row in rows):
        raise InputError(
            "there is nothing to answer",
            where=shown,
            found="no rows, or empty ones",
            expected="at least one question",
            fix="write one a line, or name a file of rows",
        )
    with tempfile.TemporaryDirectory(prefix="tutelage-rows-") as folder:
        file = Path(folder) / "rows.jsonl"
        _write(file, rows, source)
        files = replace(find(source.source(file), root=source.root), shown=[shown])
        data = read_all(files)
    return NamedRows(data, _ids(data.examples, from_file=False))


def lines_of(content: bytes, *, where: str) -> list[str]:
    """The lines of a text, empty ones among them so that their numbers stay.

    Raises:
        InputError: it is not UTF-8.
    """
    text = regular.decode(content, subject="the text", where=where)
    return [line.removesuffix("\r") for line in text.split("\n")]


def _write(file: Path, rows: Iterable[str | Mapping[str, Json]], source: PromptSource) -> None:
    """Write texts and rows as JSON lines, which are read as a file's are; an empty text is an empty line, and no row."""
    column: str | None = None
    with file.open("w", encoding="utf-8") as lines:
        for row in rows:
            if isinstance(row, str):
                column = column or source.text_column()
                lines.write(json.dumps({column: row}) + "\n" if row.strip() else "\n")
            else:
                lines.write(json.dumps(dict(row)) + "\n")


def _ids(examples: Sequence[Example], *, from_file: bool) -> tuple[Json, ...]:
    values = [example.fields.get("id") for example in examples]
    if all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in values):
        return tuple(values)
    if from_file:
        return tuple(example.id for example in examples)
    return tuple(_place(example) for example in examples)


def _place(example: Example) -> Json:
    """The number of a line or row; of several questions in one row also which."""
    part = example.id.partition("#")[2]
    return f"{example.origin.line}#{part}" if part else example.origin.line
