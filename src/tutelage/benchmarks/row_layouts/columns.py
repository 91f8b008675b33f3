"""Columns of published rows: checked for the type that they should have, and added to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Example, Json


def with_columns(row: Example, **columns: Json) -> Example:
    """The row with further columns, or other values of some."""
    return replace(row, fields={**row.fields, **columns})


def text_of(row: Example, column: str) -> str:
    """A column that holds a text; an InputError where it does not."""
    value = row.fields.get(column)
    if not isinstance(value, str):
        raise not_as_published(row, column, value, "a text")
    return value


def mapping_of(row: Example, column: str) -> Mapping[str, Any]:
    """A column that holds fields with names; an InputError where it does not."""
    value = row.fields.get(column)
    if not isinstance(value, dict):
        raise not_as_published(row, column, value, "fields with names")
    return value


def mappings(row: Example, column: str, value: object) -> list[dict[str, Any]]:
    """A value that is a list of fields with names, at least one; an InputError where it is not."""
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        raise not_as_published(row, column, value, "a list of fields with names")
    return value


def texts(row: Example, column: str, value: object) -> list[str]:
    """A value that is a list of texts, at least one; an InputError where it is not."""
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise not_as_published(row, column, value, "a list of texts")
    return list(map(str, value))


def not_as_published(row: Example, column: str, value: object, expected: str) -> InputError:
    """The error that a column is not what the benchmark publishes."""
    return InputError(
        f"the column {column} is not as the benchmark publishes it",
        where=str(row.origin),
        found="no such column" if value is None else f"{json_kind(value)}: {shorten(str(value))}",
        expected=expected,
    )
