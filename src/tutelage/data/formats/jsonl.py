"""JSONL: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.nouns import Json
from tutelage.core.strictjson import kind, loads, quick, shorten, strings
from tutelage.data.formats.lines import Line


class Row(NamedTuple):
    """A row's physical line, where it starts, and its fields; `item` counts rows that start on one line, 0 for the first."""

    line: int
    fields: dict[str, Json]
    item: int = 0


def rows(lines: Iterable[Line | InputError], shown: str) -> Iterator[Row | InputError]:
    """The rows of a JSONL file; blank lines are no rows.

    Raises:
        InputError: the file is a JSON list: its lines are no rows, and one error says so better than one a line.
    """
    first = True
    for line in lines:
        if isinstance(line, InputError):
            yield line
        elif value := quick(line.text):
            yield Row(line.number, value)
        elif text := line.text.strip(" \t\r"):
            if first and text.startswith("["):
                raise _not_an_object(line, f"{shown}:{line.number}", "a list")
            yield _row(line, f"{shown}:{line.number}")
        first = False


def _row(line: Line, where: str) -> Row | InputError:
    try:
        value = loads(line.text, where=where, whole=line.ended)
    except InputError as error:
        return error
    if not isinstance(value, dict):
        return _not_an_object(line, where, kind(value))
    if not value:
        return InputError("the row has no fields", where=where, found="{}", fix="delete the line, or fill it")
    if "\\u0000" in line.text and any("\0" in text for text in strings(value)):
        return InputError(
            "a NUL character stands in the row",
            where=where,
            found="\\u0000",
            expected="text",
            fix="remove it",
        )
    return Row(line.number, value)


def _not_an_object(line: Line, where: str, found: str) -> InputError:
    return InputError(
        f"the line is {found}, not an object",
        where=where,
        found=shorten(line.text, 40),
        expected='one object a line, such as {"prompt": "...", "completion": "..."}',
        fix="write a JSON list as JSONL, for example: jq -c '.[]' FILE > rows.jsonl",
    )
