"""Reads line-parallel texts: line n of every file is the same text, each file in its language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from tutelage.core.errors import InputError
from tutelage.core.types import Json
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.formats.lines import Line


def rows(
    files: Sequence[Iterable[Line | InputError]], shown: Sequence[str], columns: Sequence[str]
) -> Iterator[RawRow | InputError]:
    """One row a line, with a field for each file.

    Args:
        files: the lines of each file.
        shown: the files' names in errors.
        columns: the fields' names, one a file.

    Raises:
        InputError: one file has fewer lines than another.
    """
    for number, lines in enumerate(zip_longest(*files), 1):
        if None in lines:
            shortest, longer = lines.index(None), next(i for i, line in enumerate(lines) if line)
            raise InputError(
                "the files have different numbers of lines",
                where=f"{shown[shortest]}:{number}",
                found=f"{number - 1} lines in {shown[shortest]}, and more in {shown[longer]}",
                expected="as many lines in each file",
                fix="take files of one export; blank lines count, and must stand in all of them",
            )
        fields: dict[str, Json] = {}
        error: InputError | None = None
        for line, name, file in zip(lines, columns, shown, strict=True):
            if isinstance(line, InputError):
                error = error or line
            elif line is not None:
                fields[name] = line.text
                if not line.text.strip():
                    error = error or _blank(f"{file}:{number}", name)
        yield error if error is not None else RawRow(number, fields)


def _blank(where: str, name: str) -> InputError:
    return InputError(
        f"the field {name} is empty",
        where=where,
        found="a blank line",
        expected="a text, as in the other file",
        fix="fill the line, or delete it in every file",
    )
