"""Converts Arrow's typed values to plain JSON.

Text, numbers, booleans, lists and objects stay as they are; a float of 16 or 32 bits becomes the shortest number that names it, 3.8 and
not 3.799999952316284. Dates and times become ISO 8601 text, decimals become text, and class
labels that the file itself names (as the hub's files do) become their names. Columns of bytes and of other types are skipped with
a note.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_JSON_DEPTH
from tutelage.core.strictjson import json_kind, loads, shorten
from tutelage.core.types import Json

_PLAIN = (int, bool, type(None))


class ArrowRowDecoder:
    """Converts the rows of a table with a given Arrow schema.

    Attributes:
        columns: the names of the columns that are read.
        notes: which columns were skipped or converted.
        classes: the label names that the file gives, by column.
        narrow: the columns with floats of 16 or 32 bits. Plain values (`is_plain`) of columns in neither can be used as they are.

    Raises:
        InputError: two columns have the same name, or no column can be read.
    """

    def __init__(self, schema: Any, shown: str) -> None:
        self.shown = shown
        self.notes: list[str] = []
        names = list(schema.names)
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise InputError(
                f"two columns are called {shorten(repeated)}",
                where=shown,
                found=shorten(", ".join(names)),
                expected="every name once",
                fix="rename one of them",
            )
        self.columns = [field.name for field in schema if _is_readable(field.type)]
        skipped = [f"{field.name} ({field.type})" for field in schema if field.name not in self.columns]
        if skipped:
            self.notes.append("columns that hold no text or numbers were left out: " + ", ".join(skipped))
        if not self.columns:
            raise InputError(
                "no column holds text or numbers",
                where=shown,
                found=", ".join(skipped)[:200] or "no columns",
                expected="at least one column of text",
                fix="write the rows again with text columns",
            )
        self.narrow = {
            field.name: narrow for field in schema if (narrow := _narrow_floats(field.type)) is not None
        }
        self.classes = _class_names(schema.metadata or {}, shown)
        for name in self.classes:
            if name in self.columns:
                self.notes.append(f"the numbers in {name} were read as the label names that the file gives")

    def fields(self, row: Mapping[str, Any], number: int) -> dict[str, Json]:
        """A row's values as plain JSON.

        Args:
            row: the columns' values, as Arrow gives them to Python.
            number: the row's, from 1.

        Raises:
            InputError: JSON has no such value, or the file does not name this label.
        """
        fields: dict[str, Json] = {}
        for name, value in row.items():
            fields[name] = self._class_name(name, value, number) if name in self.classes else value
            if name in self.narrow:
                fields[name] = shortest_floats(fields[name], self.narrow[name])
            if not is_plain(value):
                fields[name] = _to_json(fields[name], name, self.row_location(number))
        return fields

    def row_location(self, number: int) -> str:
        """A row's place, for errors."""
        return f"{self.shown}, row {number}"

    def _class_name(self, name: str, value: Any, number: int) -> Any:
        names = self.classes[name]
        if isinstance(value, list):
            return [self._class_name(name, item, number) for item in value]
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and 0 <= value < len(names):
            return names[value]
        raise row_error(
            self.row_location(number),
            f"the field {name} names no label",
            str(value),
            f"0 to {len(names) - 1}",
        )


def is_plain(value: Any) -> bool:
    """Whether a value is valid JSON as it is, and needs no cleaning: a text without NUL and Windows line breaks, a finite number, a boolean or None."""
    if type(value) is str:
        return "\0" not in value and "\r\n" not in value
    return type(value) in _PLAIN or (type(value) is float and math.isfinite(value))


def row_error(where: str, problem: str, found: str, expected: str) -> InputError:
    """The error for one row."""
    return InputError(
        problem, where=where, found=found, expected=expected, fix="correct the row, or leave it out"
    )


def damaged_file_error(where: str, found: str, name: str) -> InputError:
    """The error for a truncated or inconsistent file; `name` is the format's."""
    return InputError(
        f"the {name} file is damaged, or of a kind that cannot be read",
        where=where,
        found=shorten(found.splitlines()[0] if found else "", 160),
        expected=f"a whole {name} file",
        fix="make or fetch it again, and check that its ending says what it is",
    )


def unreadable_value_error(where: str, error: ValueError | OverflowError) -> InputError:
    """The error for a value that Python cannot hold, or for text in another encoding."""
    if isinstance(error, UnicodeDecodeError):
        return row_error(where, "the text is not UTF-8", error.reason, "UTF-8")
    return row_error(where, "a value cannot be read", str(error), "text or a number")


def _is_readable(arrow_type: Any, depth: int = 0) -> bool:
    import pyarrow.types as t

    if depth > MAX_JSON_DEPTH:
        return False
    containers = t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_dictionary
    if any(is_kind(arrow_type) for is_kind in containers):
        return _is_readable(arrow_type.value_type, depth + 1)
    if t.is_struct(arrow_type):
        names = [field.name for field in arrow_type]
        return len(set(names)) == len(names) and all(_is_readable(f.type, depth + 1) for f in arrow_type)
    scalar_checks = (
        t.is_string, t.is_large_string, t.is_string_view, t.is_integer, t.is_floating, t.is_boolean, t.is_null,
        t.is_date, t.is_timestamp, t.is_time, t.is_decimal,
    )  # fmt: skip
    return any(is_kind(arrow_type) for is_kind in scalar_checks)


def _narrow_floats(arrow_type: Any) -> Any:
    """Where a type holds floats of 16 or 32 bits: the NumPy type, {part: where} for a struct, [where] for a list; None without any."""
    import pyarrow.types as t

    if t.is_float16(arrow_type) or t.is_float32(arrow_type):
        return np.float16 if t.is_float16(arrow_type) else np.float32
    if t.is_struct(arrow_type):
        return {f.name: part for f in arrow_type if (part := _narrow_floats(f.type)) is not None} or None
    if any(is_kind(arrow_type) for is_kind in (t.is_list, t.is_large_list, t.is_fixed_size_list)):
        return None if (part := _narrow_floats(arrow_type.value_type)) is None else [part]
    return _narrow_floats(arrow_type.value_type) if t.is_dictionary(arrow_type) else None


def shortest_floats(value: Any, narrow: Any) -> Any:
    """A value whose floats of few bits are written as the shortest numbers that name them."""
    if value is None:
        return None
    if isinstance(narrow, list):
        return [shortest_floats(item, narrow[0]) for item in value]
    if isinstance(narrow, dict):
        return {
            key: shortest_floats(item, narrow[key]) if key in narrow else item for key, item in value.items()
        }
    return float(str(narrow(value)))


def _to_json(value: Any, name: str, where: str) -> Json:
    """A value as plain JSON."""
    if isinstance(value, list):
        return [_to_json(item, name, where) for item in value]
    if isinstance(value, dict):
        return {str(key): _to_json(item, name, where) for key, item in value.items()}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str) and "\0" in value:
        raise row_error(where, f"a NUL character stands in the field {name}", "\\u0000", "text")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise row_error(
        where, f"the field {name} holds {json_kind(value)}", shorten(str(value), 40), "text or a number"
    )


def _class_names(metadata: dict[bytes, bytes], shown: str) -> dict[str, list[str]]:
    """The label names that the `datasets` library stores in a file's metadata, by column."""
    raw = metadata.get(b"huggingface")
    if raw is None:
        return {}
    try:
        parsed = loads(raw.decode("utf-8", "replace"), where=shown)
    except InputError:
        return {}
    info = parsed.get("info") if isinstance(parsed, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    class_names: dict[str, list[str]] = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else None
        names = inner.get("names") if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
        if isinstance(names, list):
            class_names[name] = [str(label) for label in names]
    return class_names
