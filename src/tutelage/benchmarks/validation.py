"""A spec's YAML held against its fields: every mistake with file, line and field path, in words for people."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tutelage.core import files
from tutelage.core.errors import InputError
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import did_you_mean, nearest
from tutelage.core.types import Json
from tutelage.core.yamltext import FieldPath, read

_Model = TypeVar("_Model", bound=BaseModel)
_WORDS = {
    "int_type": "a whole number",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "names with values",
    "model_type": "fields with values",
    "string_too_short": "some text",
    "too_short": "at least one",
    "string_pattern_mismatch": "letters, digits, . _ and -, beginning with a letter or digit",
}
"""What was expected, where pydantic says it in the words of Python."""


class Block(BaseModel):
    """Fields with values; none beside those that are named."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a spec's fields stand."""

    file: str
    lines: Mapping[FieldPath, int]

    def __call__(self, path: FieldPath) -> str:
        """`file:line: field.path`, with the line of the nearest field that stands in the file."""
        dotted = ".".join(map(str, path))
        known = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in self.lines or n == 0)
        place = f"{self.file}:{self.lines.get(known, 1)}"
        return f"{place}: {dotted}" if dotted else place


def read_document(path: Path, *, shown: str, fields: typing.Iterable[str]) -> tuple[dict[str, Json], Places]:
    """A spec's values, and where they stand.

    Raises:
        InputError: the file cannot be read, is no YAML, or holds no fields.
    """
    document = read(read_text(path, what="the benchmark's spec", shown=shown), file=shown)
    if not isinstance(document.value, dict):
        raise InputError(
            "the file is no benchmark spec",
            where=shown,
            found="nothing" if document.value is None else json_kind(document.value),
            expected="fields: " + ", ".join(fields),
            fix="see `docs/benchmarks.md` for a small spec to start from",
        )
    return document.value, Places(shown, document.lines)


def read_text(path: Path, *, what: str, shown: str | None = None) -> str:
    """A text file that a spec is, or names.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    content = files.read_bytes(
        path, what=what, fix="name a spec.yaml, the folder it is in, or correct the spec"
    )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{what} is not UTF-8",
            where=f"{shown or path}:{line}",
            found=f"0x{content[error.start]:02x}",
            expected="UTF-8",
            fix="save the file as UTF-8",
        ) from None


def validate(
    model: type[_Model], value: dict[str, Json], places: Places
) -> tuple[_Model | None, list[InputError]]:
    """The values as a model, or their mistakes."""
    try:
        return model.model_validate(_tuples(value)), []
    except ValidationError as error:
        return None, [_mistake(details, model, places) for details in error.errors(include_url=False)]


def _tuples(value: Json) -> Any:
    """Lists as tuples: pydantic's strict mode takes no list for one."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(_tuples(inner) for inner in value) if isinstance(value, list) else value


def _fields_at(model: Any, path: FieldPath) -> Mapping[str, Any]:
    """The fields of the block that the last step of a path is in."""
    for step in path[:-1]:
        inside = _model_in(model.model_fields[step].annotation) if step in model.model_fields else None
        model = inside or model  # a name in a mapping or a place in a list: the block is what stands there
    found: Mapping[str, Any] = model.model_fields
    return found


def _model_in(annotation: Any) -> Any:
    """The block that a field holds, be it in a mapping or a list; None for plain values."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for one in typing.get_args(annotation) if (found := _model_in(one))), None)


def _mistake(details: Any, model: type[BaseModel], places: Places) -> InputError:
    path: FieldPath = details["loc"]
    fields = _fields_at(model, path)
    if details["type"] == "missing":
        return InputError(
            f"the field {path[-1]} is missing",
            where=places(path),
            expected=fields[str(path[-1])].description,
            fix="add it",
        )
    if details["type"] == "extra_forbidden":
        return InputError(
            "there is no such field",
            where=places(path),
            found=str(path[-1]),
            expected=", ".join(fields),
            fix=did_you_mean(str(path[-1]), list(fields)) or "remove it",
        )
    found = details["input"]
    return InputError(
        "the value does not fit",
        where=places(path),
        found=shorten(found) if isinstance(found, str) else json.dumps(found, ensure_ascii=False)[:60],
        expected=_WORDS.get(details["type"], details["msg"].removeprefix("Input should be ")),
        fix=_fix(details, fields),
    )


def _fix(details: Any, fields: Mapping[str, Any]) -> str | None:
    """What to do about a value that does not fit: the nearest choice, or what the field is for."""
    path, value = details["loc"], details["input"]
    if details["type"] == "literal_error" and isinstance(value, str):
        allowed = str(details["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        if close := nearest(value, allowed):
            return f"did you mean {close}?"
    field = fields.get(str(path[-1]))
    return f"{path[-1]}: {field.description}" if field is not None else None
