"""Reads JSONL: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, loads, shorten, strings
from tutelage.core.types import Json
from tutelage.data.formats.lines import Line, Lines


class RawRow(NamedTuple):
    """A row as its file has it.

    Attributes:
        line: the physical line on which it starts.
        fields: its fields.
        item: 0 for the first row that starts on this line; later ones are numbered from 2.
    """

    line: int
    fields: dict[str, Json]
    item: int = 0


def rows(lines: Lines, shown: str, *, nan: bool = False) -> Iterator[RawRow | InputError]:
    """The rows of a JSONL file; blank lines are skipped.

    Args:
        lines: the file's lines.
        shown: its name in errors.
        nan: whether NaN, Infinity and -Infinity are read, as floats; else they are mistakes.

    Raises:
        InputError: the file is a JSON list, which one error explains better than one error a line.
    """
    for line in lines:
        if isinstance(line, InputError):
            yield line
        elif line.number == 1 and line.text.lstrip(" \t\r").startswith("["):
            raise _not_object_error(line, f"{shown}:1", "a list")
        elif line.text.strip(" \t\r"):
            yield _row(line, f"{shown}:{line.number}", nan=nan)


def _row(line: Line, where: str, *, nan: bool) -> RawRow | InputError:
    try:
        value = loads(line.text, where=where, whole=line.ended, nan=nan)
    except InputError as error:
        return error
    if not isinstance(value, dict):
        return _not_object_error(line, where, json_kind(value))
    return row_of(value, line.number, where)


def row_of(fields: dict[str, Json], line: int, where: str) -> RawRow | InputError:
    """The row of a JSON object, or the error if it is empty or contains a NUL character."""
    if not fields:
        return InputError("the row has no fields", where=where, found="{}", fix="delete the row, or fill it")
    if any("\0" in text for text in strings(fields)):
        return InputError(
            "a NUL character stands in the row",
            where=where,
            found="\\u0000",
            expected="text",
            fix="remove it",
        )
    return RawRow(line, fields)


def _not_object_error(line: Line, where: str, found: str) -> InputError:
    return InputError(
        f"the line is {found}, not an object",
        where=where,
        found=shorten(line.text, 40),
        expected='one object a line, such as {"prompt": "...", "completion": "..."}',
        fix="write a JSON list as JSONL, for example: jq -c '.[]' FILE > rows.jsonl",
    )
