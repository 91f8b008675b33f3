"""The kinds of values that a recipe's fields take, each with the error for a value that is none."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from tutelage import metrics, templates
from tutelage.core.strictjson import json_kind
from tutelage.core.suggestions import did_you_mean
from tutelage.core.validation import checked_by, mistake
from tutelage.mixture.presets import Style
from tutelage.models import layer_sets

_LAYER_SETS = ("all-linear", *layer_sets.SETS)
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_TEXT_SCHEMA = {"type": "string", "minLength": 1}
_CONSTANT_SCHEMA = {
    "type": "object",
    "properties": {"value": _TEXT_SCHEMA},
    "required": ["value"],
    "additionalProperties": False,
}


def _share(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mistake(
            "not a share of the rows",
            expected="a fraction from 0.0 to 1.0, or a count of rows",
            fix="write 0.1 for a tenth, or 100 for a hundred rows",
        )
    if value < 0 or (isinstance(value, float) and value > 1):
        raise mistake(
            "not a share of the rows",
            found=str(value),
            expected="a fraction from 0.0 to 1.0, or a count of rows",
            fix=f"write {int(value)} for a count of rows" if value > 1 else "write 0 for none",
        )
    return value


def _targets(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str) and value in _LAYER_SETS:
        return value
    if is_list_of_texts(value):
        return tuple(value)
    raise mistake(
        "not a choice of layers",
        found=f"{value}" if isinstance(value, str) else json_kind(value),
        expected=f"{', '.join(_LAYER_SETS)}, or a list of layer names such as [q_proj, v_proj]",
        fix=did_you_mean(value, _LAYER_SETS) or f"write [{value}]"
        if isinstance(value, str)
        else "write all-linear",
    )


def _day(value: Any) -> date:
    day = value if type(value) is date else None  # YAML's own, without a time
    if isinstance(value, str):
        with suppress(ValueError):
            day = date.fromisoformat(value)
    if day is not None and 1970 <= day.year <= 9998:  # what every system's clock can show in every time zone
        return day
    raise mistake(
        "not a day",
        found=str(value)[:60],
        expected="a day as year, month and day, from 1970 on",
        fix="write it as 2026-01-31",
    )


def slug(text: str) -> str:
    """A text as a name: other characters than letters, digits, `.`, `_` and `-` become `-`; may be empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")


def _check_primary(names: tuple[str, ...]) -> None:
    if names:
        metrics.check_primary(names[0])


def is_list_of_texts(value: Any) -> bool:
    """Whether a value is a list of one text or more, none of them empty."""
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(item, str) and item for item in value)
    )


def _check_template(value: str) -> None:
    if value not in templates.column_template_names() and not templates.is_template_file(value):
        templates.find(value)


def _columns_by_field(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and value and all(map(_is_source, value.values())):
        return value
    columns = value.items() if isinstance(value, dict) else ()
    bad_fields = [name for name, column in columns if not _is_source(column)]
    raise mistake(
        "not a map of the template's fields to columns",
        found=f"{bad_fields[0]}: {json_kind(value[bad_fields[0]])}" if bad_fields else json_kind(value),
        expected="for each field a column, a list of columns, or {value: a text for every row}",
        fix="write  fields: {text: review, label: stars}",
    )


def _is_source(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == ["value"] and isinstance(value["value"], str) and bool(value["value"].strip())
    if isinstance(value, list | tuple):
        return is_list_of_texts(value)
    return isinstance(value, str) and bool(value)


def _labels(value: Any) -> list[str] | dict[str, str]:
    """Labels as texts. Our YAML reads yes as text already; 1 and true come as numbers and booleans."""
    labels = list(value.values()) if isinstance(value, dict) else value
    labels = labels if isinstance(labels, list | tuple) else []
    scalars = [label for label in labels if isinstance(label, str | int | float)]
    texts = [str(label).lower() if isinstance(label, bool) else str(label) for label in scalars]
    are_texts = len(texts) == len(labels) and all(text.strip() for text in texts) and len(set(texts)) > 1
    if are_texts and isinstance(value, dict):
        return dict(zip(map(str, value), texts, strict=True))
    if are_texts and len(set(texts)) == len(texts):
        return texts
    raise mistake(
        "not labels",
        found=", ".join(texts) or json_kind(value),
        expected="two different words or more, or raw values with their words",
        fix="write  labels: [negative, positive]  or  labels: {0: negative, 1: positive}",
    )


TupleAsList = PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value)
"""Writes a tuple as a list, as JSON has it."""

Share = Annotated[
    float | int,
    PlainValidator(_share),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "integer", "minimum": 0}]}
    ),
]
Targets = Annotated[
    str | tuple[str, ...],
    PlainValidator(_targets),
    TupleAsList,
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(_LAYER_SETS)},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]
Day = Annotated[
    date, PlainValidator(_day), PlainSerializer(str), WithJsonSchema({"type": "string", "format": "date"})
]
Name = Annotated[str, Field(pattern=NAME)]
Jinja = Annotated[str, checked_by(partial(templates.check, where="template"))]
Metrics = Annotated[
    tuple[Annotated[str, checked_by(partial(metrics.check_scores_answers, provided=metrics.OF_TEXTS))], ...],
    checked_by(_check_primary),
]
Positive = Annotated[float, Field(gt=0)]
Points = Annotated[float, Field(ge=0, le=100)]
Styles = Annotated[dict[Style, Positive], Field(min_length=1)]
TemplateName = Annotated[str, checked_by(_check_template)]
ColumnsByField = Annotated[
    dict[str, Any],
    PlainValidator(_columns_by_field),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    _TEXT_SCHEMA,
                    {"type": "array", "items": _TEXT_SCHEMA, "minItems": 1},
                    _CONSTANT_SCHEMA,
                ]
            },
            "minProperties": 1,
        }
    ),
]
KindLabels = Annotated[
    list[str] | dict[str, str],
    PlainValidator(_labels),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 2},
                {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]
