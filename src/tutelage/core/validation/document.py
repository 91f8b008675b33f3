"""YAML documents of fields: read, and checked against a pydantic model, with every mistake in words and its place in the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tutelage.core import yamltext
from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import did_you_mean
from tutelage.core.validation.block import OWN_MISTAKE, is_block, not_a_choice
from tutelage.core.yamltext import FieldPath

_Model = TypeVar("_Model", bound=BaseModel)

_WORDED = 2_000
"""Mistakes that are put into words; the rest is counted."""
_LONGEST_EXAMPLE = 100
"""Characters of a value that a fix repeats."""
_LONGEST_SHOWN = 60
"""Characters of a list or an object that an error shows."""


class Advice(NamedTuple):
    """What is expected in the place of a word, and what to write."""

    expected: str | None
    fix: str


class FieldAdvice(Protocol):
    """Gives advice about a field that does not exist; None where nothing is known of it."""

    def __call__(self, path: FieldPath, value: Any, *, on_command_line: bool) -> Advice | None:
        """Advice about the field at a path, with its value; `on_command_line`: whether an option wrote it."""
        ...


@dataclass(frozen=True, slots=True)
class Words:
    """What is known of words that a document's fields do not have.

    Attributes:
        field: advice about a field that does not exist.
        choice: advice about a text that is none of a field's choices.
    """

    field: FieldAdvice
    choice: Callable[[Any], Advice | None]


_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "names with values",
    "model_type": "fields with values",
    "model_attributes_type": "fields with values",
}
"""What is expected, by the type of pydantic's error."""
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
}
_EMPTY = {
    "problem": "nothing is there",
    "expected": "at least one",
    "fix": "write at least one; where it is not required, leave it out",
}
_SHAPES = {
    "string_pattern_mismatch": {
        "problem": "not a name",
        "expected": "letters, digits, . _ and -, beginning with a letter or digit",
        "fix": "name it so",
    },
    "too_short": _EMPTY,
    "string_too_short": _EMPTY | {"expected": "some text"},
    "too_long": {"problem": "too many", "expected": "fewer", "fix": "remove the rest"},
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where each field of a document is written.

    Attributes:
        file: the document's name in errors.
        lines: the line of each key and list item, by path; empty for values that are in no file.
        changes: options of the command line that set a field, by path, such as `tune.epochs=3`.
    """

    file: str
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    changes: dict[FieldPath, str] = field(default_factory=dict)

    def __call__(self, path: FieldPath) -> str:
        """A field's place, such as `recipe.yaml:12: tune.epochs`; the line is that of the nearest enclosing field that has one."""
        dotted = ".".join(map(str, path))
        place = self.file
        for length in range(len(path), -1, -1):
            if path[:length] in self.changes:
                place = f"--set {shorten(self.changes[path[:length]])[1:-1]}"
                break
            if path[:length] in self.lines:
                place = f"{self.file}:{self.lines[path[:length]]}"
                break
        return f"{place}: {dotted}" if dotted else place


def read_document(
    text: str, *, file: str, subject: str, fields: Iterable[str], fix: str
) -> tuple[dict[str, Any], Places]:
    """Read a YAML document of fields.

    Args:
        text: the document.
        file: its name in errors.
        subject: what the file should be, such as "a recipe".
        fields: examples of its fields.
        fix: what to do when it has none.

    Returns:
        The fields' values, and their places.

    Raises:
        InputError: it is not valid YAML, or not a mapping of fields; InputErrors for several.
    """
    document = yamltext.read(text, file=file)
    if not isinstance(document.value, dict):
        raise InputError(
            f"the file is not {subject}",
            where=file,
            found="nothing" if document.value is None else json_kind(document.value),
            expected="fields such as " + ", ".join(f"{name}:" for name in fields),
            fix=fix,
        )
    return document.value, Places(file, document.lines)


def validate(
    model: type[_Model],
    value: Mapping[str, Any],
    places: Places,
    *,
    examples: Mapping[str, str] | None = None,
    words: Words | None = None,
) -> tuple[_Model | None, list[InputError], int]:
    """Check a document's values.

    Args:
        model: the fields that the document may have.
        value: the document.
        places: where its fields are written.
        examples: how a block is written whose field has a plain value instead, by field: `data: {{path: {}}}`.
        words: what is known of words that are no fields.

    Returns:
        The checked values, or None when there are mistakes; the first mistakes; how many there are in all.
    """
    try:
        # As JSON, because pydantic's strict mode then takes lists for tuples and still no text for a number.
        return model.model_validate_json(json.dumps(value, allow_nan=False)), [], 0
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not _follows(detail)]
    writer = _Writer(model, value, places, examples or {}, words)
    paths = [writer.path(detail) for detail in details[:_WORDED]]
    enclosing = {path[:length] for path in paths for length in range(len(path))}
    mistakes: dict[tuple[FieldPath, bool], InputError] = {}
    for path, detail in zip(paths, details, strict=False):
        if path in enclosing and (detail["type"] in _TYPES or detail["type"] == "literal_error"):
            continue  # another alternative of a union takes such a value, and has a mistake inside it
        key = (path, detail["loc"][-1:] == ("[key]",))
        mistake = writer.mistake(detail)
        # Each alternative of a union refuses the value: that is one mistake.
        mistakes[key] = _either(mistakes[key], mistake) if key in mistakes else mistake
    return None, list(mistakes.values()), len(details) - len(paths) + len(mistakes)


def checked(model: type[_Model], value: Mapping[str, Any], places: Places) -> _Model:
    """A document's checked values; the arguments are those of `validate`.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    block, errors, total = validate(model, value, places)
    raise_all(places.file, errors, total=total)
    assert block is not None
    return block


def _follows(detail: Any) -> bool:
    """Whether an error only follows from another one: a default that depends on a wrong field, a list of wrong items."""
    return detail["type"] == "default_factory_not_called" or (
        detail["type"] == "too_short" and bool(detail["input"])
    )


def _either(first: InputError, second: InputError) -> InputError:
    """The mistake of a value that neither of two alternatives allows."""
    if (first.problem, first.expected) == (second.problem, second.expected):
        return first
    expected = f"{first.expected} or {second.expected}"
    return InputError(
        f"not {expected}", where=first.where, found=first.found, expected=expected, fix=first.fix
    )


class _Writer:
    """Puts pydantic's errors about one document into words."""

    def __init__(
        self,
        model: type[BaseModel],
        value: Mapping[str, Any],
        places: Places,
        examples: Mapping[str, str],
        words: Words | None,
    ) -> None:
        self._model = model
        self._value = value
        self._places = places
        self._examples = examples
        self._words = words

    def mistake(self, detail: Any) -> InputError:
        """One error of pydantic as an InputError."""
        path = self.path(detail)
        value, context = detail["input"], detail.get("ctx", {})
        description = self._description(path)
        advice = f"the field says: {description}" if description else None
        parts: dict[str, str | None]
        match detail["type"]:
            case "extra_forbidden":
                names = list(_fields(self._block_at(path[:-1])))
                parts = {
                    "problem": f"there is no field {path[-1]}",
                    "found": str(path[-1]),
                    "expected": "one of " + ", ".join(names),
                    "fix": did_you_mean(str(path[-1]), names) or "remove it",
                }
                if self._words and (
                    known := self._words.field(path, value, on_command_line=path in self._places.changes)
                ):
                    parts |= known._asdict()
            case error_type if error_type == OWN_MISTAKE:
                parts = context
            case "missing" if isinstance(value, list):
                parts = {
                    "problem": "too few",
                    "expected": f"at least {int(path[-1]) + 1}",
                    "fix": "add the others",
                }
            case "missing":
                parts = {
                    "problem": f"the field {path[-1]} is missing",
                    "found": "the fields " + ", ".join(value) if value else "no fields",
                    "expected": description,
                    "fix": f"write  {path[-1]}:  and its value",
                }
            case "literal_error":
                choices = [part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")]
                parts = not_a_choice(value, choices).context or {}
                if self._words and (known := self._words.choice(value)):
                    parts = {**parts, "fix": known.fix}
            case error_type if error_type in _TYPES:
                expected = _TYPES[error_type]
                fix = self._example(path, value) or _correction(value, expected)
                parts = {"problem": f"not {expected}", "expected": expected, "fix": fix}
            case error_type if error_type in _BOUNDS:
                expected = _BOUNDS[error_type].format(**context)
                parts = {"problem": "out of range", "expected": expected, "fix": advice}
            case error_type:
                otherwise = {"problem": detail["msg"], "fix": advice or "correct it"}
                parts = _SHAPES.get(error_type, otherwise)
        return InputError(
            parts["problem"] or "not allowed",
            where=self._places(path),
            found=parts.get("found") or _shown(value),
            expected=parts.get("expected") or None,
            fix=parts.get("fix") or None,
        )

    def path(self, detail: Any) -> FieldPath:
        """The path of an error in the document; pydantic also names alternatives of unions and keys in it."""
        path: list[str | int] = []
        value: Any = self._value
        for step in detail["loc"]:
            inside = isinstance(value, Mapping) and step in value
            listed = isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
            if inside or listed:
                value = value[step]
                path.append(step)
        if detail["type"] == "missing":
            path.append(detail["loc"][-1])
        return tuple(path)

    def _block_at(self, path: FieldPath) -> type[BaseModel]:
        """The block to which a path leads."""
        block = self._model
        for name in path:
            if isinstance(name, str) and name in _fields(block):
                block = next(filter(is_block, _flat(_fields(block)[name].annotation)), block)
        return block

    def _description(self, path: FieldPath) -> str | None:
        """What the field at a path is for, or the nearest enclosing field with a description."""
        for end in range(len(path) - 1, -1, -1):
            info = _fields(self._block_at(path[:end])).get(str(path[end]))
            if info is not None:
                return info.description
        return None

    def _example(self, path: FieldPath, value: Any) -> str | None:
        """How a block is written that has a plain value, or a list of them, in its place."""
        names = [part for part in path if isinstance(part, str)]
        template = self._examples.get(names[-1]) if names else None
        fits = isinstance(value, str | int | float) or (isinstance(value, list) and "[{}" in (template or ""))
        if template is None or not fits:
            return None
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        return "write  " + template.format(text if len(text) <= _LONGEST_EXAMPLE else "...")


def _fields(block: type[BaseModel]) -> dict[str, FieldInfo]:
    """A block's fields by the names that files use."""
    return {info.alias or name: info for name, info in block.model_fields.items()}


def _flat(annotation: Any) -> list[Any]:
    """An annotation and all annotations inside it."""
    return [annotation, *(inner for part in get_args(annotation) for inner in _flat(part))]


def _shown(value: Any) -> str:
    if isinstance(value, list | dict) and value:
        text = json.dumps(value, ensure_ascii=False)
        return f"{json_kind(value)}: {text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '...'}"
    return shorten(value) if isinstance(value, str) else json.dumps(value, default=str)


def _correction(value: Any, expected: str) -> str:
    """What to write for a value of the wrong type."""
    if expected == "text":
        return f'put it in quotes: "{value}"' if isinstance(value, int | float) else "write a text"
    if isinstance(value, str) and expected in ("a whole number", "a number"):
        return "write it as a number, without quotes or units"
    if expected == "a list":
        return f"write [{value}]" if isinstance(value, str) else "write [..., ...]"
    return f"write {expected}"
