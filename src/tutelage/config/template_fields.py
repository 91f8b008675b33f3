"""Types of the fields of a task that choose and fill a template of the library."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from tutelage import templates
from tutelage.config.fields import checked_by, is_list_of_texts
from tutelage.core.strictjson import json_kind
from tutelage.core.validation import mistake

_TEXT = {"type": "string", "minLength": 1}
_VALUE = {
    "type": "object",
    "properties": {"value": _TEXT},
    "required": ["value"],
    "additionalProperties": False,
}
_SCALAR = (str, int, float, bool)


def _check_template(value: str) -> None:
    if value not in templates.column_template_names() and not templates.is_template_file(value):
        templates.find(value)


def _fields(value: Any) -> dict[str, Any]:
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
    texts = [_as_text(label) for label in labels if isinstance(label, _SCALAR)]
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


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


Template = Annotated[str, checked_by(_check_template)]
Fields = Annotated[
    dict[str, Any],
    PlainValidator(_fields),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}, _VALUE]
            },
            "minProperties": 1,
        }
    ),
]
Labels = Annotated[
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
