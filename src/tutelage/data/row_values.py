r"""Prepares a file's raw rows for their layout: columns picked, line breaks written one way, NaN read as null.

It also remembers which columns hold something, so that what nothing reads can be named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tutelage.core.errors import InputError
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Json
from tutelage.data.layouts.meanings import says_something
from tutelage.data.layouts.options import ReadOptions

_NAMING_FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", "arrow")
"""Formats in which `columns` picks among columns that the file names."""


class RowValues:
    """Prepares the rows of one file.

    Attributes:
        filled: the columns in which some row holds something, in the order in which they appear.
        line_breaks: how many rows had Windows line breaks.
        non_finite: the columns that had numbers which are NaN or infinite, with how many rows.

    Args:
        options: `columns` are the ones to read; all if there are none.
        file_format: the file's.
    """

    def __init__(self, options: ReadOptions, file_format: str) -> None:
        self._columns = options.columns if file_format in _NAMING_FORMATS else ()
        self._names: dict[str, None] = {}
        self.filled: dict[str, None] = {}
        self.line_breaks = 0
        self.non_finite: dict[str, int] = {}

    def of(self, fields: dict[str, Json]) -> dict[str, Json]:
        """A row's fields without the columns that are not read, their values cleaned."""
        if self._columns:
            self._names |= dict.fromkeys(fields)
            fields = {name: fields[name] for name in fields if name in self._columns}
        had_breaks = False
        for name, value in fields.items():
            is_text = isinstance(value, str)  # most values are, and hold no number
            if "\r\n" in value if isinstance(value, str) else has_windows_breaks(value):
                had_breaks = True
                fields = {**fields, name: clean(fields[name])}
            if not is_text and has_non_finite(value):
                self.non_finite[name] = self.non_finite.get(name, 0) + 1
                fields = {**fields, name: clean(fields[name])}
            if name not in self.filled and says_something(fields[name]):
                self.filled[name] = None
        self.line_breaks += had_breaks
        return fields

    def pick_none(self) -> None:
        """Read all columns: `columns` names something else."""
        self._columns = ()

    def missing(self) -> list[str]:
        """The columns that are to be read and that no row so far has."""
        return [name for name in self._columns if name not in self._names]

    def unknown_column_error(self, shown: str) -> InputError | None:
        """The error for a column that is to be read and stands in no row; None if all do."""
        missing = self.missing()
        if not missing or not self._names:
            return None
        return unknown_column(missing[0], list(self._names), shown)

    def notes(self) -> list[str]:
        """What was cleaned."""
        notes = []
        if self.line_breaks:
            notes.append(f"{self.line_breaks} rows have Windows line breaks, which were read as \\n")
        for name, count in self.non_finite.items():
            notes.append(f"{count} rows have NaN or an infinite number in {name}, which was read as null")
        return notes


def unknown_column(name: str, names: Sequence[str], shown: str) -> InputError:
    """The error for a name in `data.columns` that the file does not have."""
    return unknown_name(
        f"{shown} has no such column", name, names, where="data.columns", fix="take names of its columns"
    )


def has_windows_breaks(value: Json) -> bool:
    r"""Whether a value holds \r\n, also in texts inside lists and objects."""
    if isinstance(value, str):
        return "\r\n" in value
    if isinstance(value, list):
        return any(map(has_windows_breaks, value))
    return isinstance(value, dict) and any(map(has_windows_breaks, value.values()))


def has_non_finite(value: Json) -> bool:
    """Whether a value holds a number that is NaN or infinite."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, list):
        return any(map(has_non_finite, value))
    return isinstance(value, dict) and any(map(has_non_finite, value.values()))


def clean(value: Json) -> Json:
    r"""A value with \n for \r\n in all its texts, and null for numbers that are NaN or infinite."""
    if isinstance(value, str):
        return value.replace("\r\n", "\n")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    return value
