"""The kinds of values that a recipe's fields take, each with the error for a value that is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from tutelage import metrics, templates
from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind
from tutelage.core.validation import mistake, mistake_of
from tutelage.mixture.presets import Style

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


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


def _targets(value: Any) -> Literal["all-linear"] | tuple[str, ...]:
    if value == "all-linear":
        return "all-linear"
    if is_list_of_texts(value):
        return tuple(value)
    raise mistake(
        "not a choice of layers",
        found=f"{value}" if isinstance(value, str) else json_kind(value),
        expected="all-linear, or a list of layer names such as [q_proj, v_proj]",
        fix=f"write [{value}]" if isinstance(value, str) else "write all-linear",
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


def checked_by(check: Callable[[str], object]) -> AfterValidator:
    """A validator for texts: an InputError that `check` raises becomes the field's mistake."""

    def validate(value: str) -> str:
        try:
            check(value)
        except InputError as error:
            raise mistake_of(error) from None
        return value

    return AfterValidator(validate)


def _primary_first(names: tuple[str, ...]) -> tuple[str, ...]:
    for primary in names[:1]:
        try:
            metrics.check_primary(primary)
        except InputError as error:
            raise mistake_of(error) from None
    return names


def is_list_of_texts(value: Any) -> bool:
    """Whether a value is a list of one text or more, none of them empty."""
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(item, str) and item for item in value)
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
    Literal["all-linear"] | tuple[str, ...],
    PlainValidator(_targets),
    TupleAsList,
    WithJsonSchema(
        {"anyOf": [{"const": "all-linear"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
Day = Annotated[
    date, PlainValidator(_day), PlainSerializer(str), WithJsonSchema({"type": "string", "format": "date"})
]
Name = Annotated[str, Field(pattern=NAME)]
Jinja = Annotated[str, checked_by(partial(templates.check, where="template"))]
Metrics = Annotated[
    tuple[Annotated[str, checked_by(metrics.check_scores_answers)], ...], AfterValidator(_primary_first)
]
Positive = Annotated[float, Field(gt=0)]
Styles = Annotated[dict[Style, Positive], Field(min_length=1)]
