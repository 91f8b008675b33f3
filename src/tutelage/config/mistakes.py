"""A recipe's mistakes in words: field path and line, what was found, what is allowed, the nearest name for a typo."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tutelage.config import method_fields
from tutelage.config.data_block import Data
from tutelage.config.mixture_block import TAGS
from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError, nearest
from tutelage.core.strictjson import kind, shorten
from tutelage.core.yamltext import Path

Where = Callable[[Path], str]

_WORDED = 2_000
"""Mistakes that are put into words; the rest is counted."""
_EXAMPLES = {
    "tasks": "tasks: [{{data: {{path: {}}}}}]",
    "data": "data: {{path: {}}}",
    "watch": "watch: [{{benchmark: {}}}]",
    "retain": "retain: {{BENCHMARK: {}}}",
    "labels": "labels: {{names: [{}, ...]}}",
    "split": "split: {{test: {}}}",
    "shots": "shots: {{count: {}}}",
}
_LONGEST_SHOWN = 100
_NAMED = 50
"""Names that an error lists."""
_KINDS = {
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
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
}
_NOTHING: dict[str, str | None] = {
    "problem": "nothing is there",
    "expected": "at least one",
    "fix": "write at least one; where it is not required, leave it out",
}
_SHAPES: dict[str, dict[str, str | None]] = {
    "string_pattern_mismatch": {
        "problem": "not a name",
        "expected": "letters, digits, . _ and -, beginning with a letter or digit",
        "fix": "name it so",
    },
    "too_short": _NOTHING,
    "string_too_short": _NOTHING,
    "too_long": {"problem": "too many", "expected": "fewer", "fix": "remove the rest"},
}


def of_validation(error: ValidationError, where: Where) -> tuple[list[InputError], int]:
    """What pydantic found: the first mistakes, one InputError each, and how many there are in all."""
    mistakes = [dict(one) for one in error.errors(include_url=False) if not _follows(dict(one))]
    return [_word(one, where) for one in mistakes[:_WORDED]], len(mistakes)


def of_contradictions(
    value: Any, where: Where, known_benchmarks: Collection[str] | None = None
) -> list[InputError]:
    """Mistakes between parts of a recipe that are right by themselves; parts that are not are passed over.

    Args:
        value: the recipe as plain values.
        where: a path's place in words.
        known_benchmarks: the names that `watch` may use beside paths; None when they are not to be checked.
    """
    if not isinstance(value, Mapping):
        return []
    watched = _names(value.get("watch"), "benchmark")
    return [
        *_twice(_task_names(value.get("tasks")), ("tasks", "name"), "task", where),
        *_twice(watched, ("watch", "benchmark"), "benchmark", where),
        *_unknown(watched, known_benchmarks, where),
        *_unwatched(value.get("retain"), watched, where),
        *method_fields.contradictions(value.get("tune"), where),
    ]


def _follows(error: dict[str, Any]) -> bool:
    """Whether an error only follows from another one: a default that waits for a wrong field, a list of wrong items."""
    return error["type"] == "default_factory_not_called" or (
        error["type"] == "too_short" and bool(error["input"])
    )


def _word(error: dict[str, Any], where: Where) -> InputError:
    path: Path = tuple(part for part in error["loc"] if part not in TAGS)
    value, told = error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _no_such_field(path, where(path))
        case "tutelage":
            said = dict(told)
        case "missing" if isinstance(value, list):
            said = {
                "problem": "too few",
                "expected": f"at least {int(path[-1]) + 1}",
                "fix": "add the others",
            }
        case "missing":
            said = {
                "problem": f"the field {path[-1]} is missing",
                "found": "the fields " + ", ".join(value) if value else "no fields",
                "expected": _description(path),
                "fix": f"write  {path[-1]}:  and its value",
            }
        case "literal_error":
            said = _not_a_choice(value, told["expected"])
        case kind_of if kind_of in _KINDS:
            wanted = _KINDS[kind_of]
            fix = _example(path, value) or _quoting(value, wanted)
            said = {"problem": f"not {wanted}", "expected": wanted, "fix": fix}
        case kind_of if kind_of in _BOUNDS:
            said = {
                "problem": "out of range",
                "expected": _BOUNDS[kind_of].format(**told),
                "fix": "the field says: " + (_description(path) or "see the schema"),
            }
        case kind_of:
            said = _SHAPES.get(kind_of, {"problem": error["msg"], "fix": "see the recipe's schema"})
    return InputError(
        said["problem"] or "not allowed",
        where=where(path),
        found=said.get("found") or _shown(value),
        expected=said.get("expected") or None,
        fix=said.get("fix") or None,
    )


def _example(path: Path, value: Any) -> str | None:
    """How a block that was written as a plain value is written, with that value in its place."""
    names = [part for part in path if isinstance(part, str)]
    if names[-1:] == ["labels"] and isinstance(value, list):
        text = ", ".join(map(str, value))
        return f"write  labels: {{names: [{text if len(text) <= _LONGEST_SHOWN else '...'}]}}"
    if not isinstance(value, str | int | float) or not names or names[-1] not in _EXAMPLES:
        return None
    text = str(value)
    return "write  " + _EXAMPLES[names[-1]].format(text if len(text) <= _LONGEST_SHOWN else "...")


def _not_a_choice(value: Any, expected: str) -> dict[str, str | None]:
    allowed = [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]
    close = nearest(value, allowed) if isinstance(value, str) else None
    return {
        "problem": "not one of the choices",
        "expected": ", ".join(allowed),
        "fix": f"did you mean {close}?" if close else "take one of these",
    }


def _no_such_field(path: Path, place: str) -> InputError:
    fields = list(_fields(_model_at(path[:-1])))
    close = nearest(str(path[-1]), fields)
    return InputError(
        f"there is no field {path[-1]}",
        where=place,
        found=str(path[-1]),
        expected="one of " + ", ".join(fields),
        fix=f"did you mean {close}?" if close else "remove it",
    )


def _model_at(path: Path) -> type[BaseModel]:
    """The block to which a path leads."""
    model: type[BaseModel] = Recipe
    for name in path:
        if isinstance(name, str) and name in _fields(model):
            inner = [kind_of for kind_of in _flat(_fields(model)[name].annotation) if _is_block(kind_of)]
            model = inner[0] if inner else model
    return model


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A block's fields by the names that recipes use."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _flat(annotation: Any) -> list[Any]:
    return [annotation, *(inner for part in get_args(annotation) for inner in _flat(part))]


def _is_block(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _description(path: Path) -> str | None:
    fields = [_fields(_model_at(path[:end])).get(str(path[end])) for end in range(len(path) - 1, -1, -1)]
    return next((field.description for field in fields if field), None)


def _shown(value: Any) -> str:
    if isinstance(value, list | dict) and value:
        return f"{kind(value)}: {shorten(json.dumps(value, ensure_ascii=False))[1:-1]}"
    return shorten(value) if isinstance(value, str) else json.dumps(value, default=str)


def _quoting(value: Any, wanted: str) -> str:
    if wanted == "text":
        return f'put it in quotes: "{value}"' if isinstance(value, int | float) else "write a text"
    if isinstance(value, str) and wanted in ("a whole number", "a number"):
        return "write it as a number, without quotes or units"
    if wanted == "true or false":
        return "write true or false"
    if wanted == "a list":
        return f"write [{value}]" if isinstance(value, str) else "write [..., ...]"
    return f"write {wanted}"


def _names(items: Any, field: str) -> dict[int, str]:
    if not isinstance(items, list):
        return {}
    found = {i: item.get(field) for i, item in enumerate(items) if isinstance(item, Mapping)}
    return {index: name for index, name in found.items() if isinstance(name, str)}


def _task_names(tasks: Any) -> dict[int, str]:
    """Tasks' names, given or by default."""
    names = _names(tasks, "name")
    for index, task in enumerate(tasks if isinstance(tasks, list) else []):
        data = task.get("data") if isinstance(task, Mapping) and "name" not in task else None
        named = (data.get("path") or data.get("hub")) if isinstance(data, Mapping) else None
        listed = isinstance(named, list) and named and isinstance(named[0], str)
        if isinstance(data, Mapping) and (isinstance(named, str) or listed):
            names[index] = Data.model_construct(path=data.get("path"), hub=data.get("hub")).default_name()
    return dict(sorted(names.items()))


def _twice(names: Mapping[int, str], path: tuple[str, str], what: str, where: Where) -> list[InputError]:
    seen: dict[str, int] = {}
    errors = []
    for index, name in names.items():
        if name in seen:
            first = f"{path[0]}.{seen[name]}.{path[1]}"
            errors.append(
                InputError(
                    f"two of one name: {what} {name}",
                    where=where((path[0], index, path[1])),
                    found=f"{name}, as in {first}",
                    expected="every name once",
                    fix="rename or remove one of them",
                )
            )
        seen.setdefault(name, index)
    return errors


def _unknown(watched: Mapping[int, str], known: Collection[str] | None, where: Where) -> list[InputError]:
    errors = []
    for index, name in watched.items():
        own = name.partition(":")[0]
        if known is None or own in known or "/" in name or own.endswith((".yaml", ".yml")):
            continue
        close = nearest(name, sorted(known))
        errors.append(
            InputError(
                "there is no such benchmark",
                where=where(("watch", index, "benchmark")),
                found=name,
                expected=", ".join(sorted(known)) + ", or the path of your own",
                fix=f"did you mean {close}?" if close else "take one of these",
            )
        )
    return errors


def _unwatched(retain: Any, watched: Mapping[int, str], where: Where) -> list[InputError]:
    names: Sequence[str] = list(retain) if isinstance(retain, Mapping) else []
    errors: list[InputError] = []
    known = set(watched.values())
    benchmarks = sorted(known)
    for name in names:
        if name in known or len(errors) >= _WORDED:
            continue
        close = nearest(name, benchmarks)
        errors.append(
            InputError(
                "what shall be retained is not watched, so its loss would not be known",
                where=where(("retain", name)),
                found=name,
                expected="one of " + ", ".join(benchmarks[:_NAMED])
                if watched
                else "a benchmark that stands in watch",
                fix=f"did you mean {close}?" if close else f"add  - {{benchmark: {name}}}  to watch",
            )
        )
    return errors
