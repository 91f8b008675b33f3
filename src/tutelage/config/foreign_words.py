"""Words that a recipe does not know: those of other tools, and our own in the wrong block, with the field that they stand for.

`foreign_words.yaml` is the table. A word that has no field here has a reason there, so that no known word is answered by "remove it".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tutelage.config.schema import Recipe
from tutelage.core import yamltext
from tutelage.core.validation import Advice
from tutelage.core.validation.block import is_block
from tutelage.core.yamltext import FieldPath

_MOST_NAMED = 6
"""Words inside a foreign block that its error names, and places of a name that stands in several blocks."""
_LONGEST_VALUE = 60
"""Characters of a value that a fix repeats."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word of another tool stands for here.

    Attributes:
        field: the path of the field here, such as `tune.rank`; "" where there is none.
        text: how its value is written, or why there is no such field; "" where the field is the same under another name.
        same_value: whether the word's value is the field's.
    """

    field: str
    text: str = ""
    same_value: bool = False


def meaning(word: str) -> Meaning | None:
    """What a word of another tool stands for; None for a word that the table does not have."""
    return _meanings().get(_folded(word))


def advice(path: FieldPath, value: Any, *, on_command_line: bool) -> Advice | None:
    """What to do about a field that does not exist, or about a choice that is none.

    Args:
        path: the field's path in the recipe.
        value: its value.
        on_command_line: whether `--set` wrote it.

    Returns:
        None where neither the table nor another block of the recipe has the word.
    """
    word = str(path[-1])
    known = meaning(word)
    places = _places().get(word, ())
    if known is None and places:
        fields = [place for place in places if _filled(place, path) != ".".join(map(str, path))]
        if len(fields) == 1:
            known = Meaning(fields[0], same_value=True)
        elif fields:
            named = ", ".join(_filled(field, path) for field in fields[:_MOST_NAMED])
            return Advice(f"one of {named}", "write it in the block that is meant")
    if known is None:
        return None
    if not known.field:
        return Advice(None, known.text + _inside(value))
    field = _filled(known.field, path)
    written = known.text
    if known.same_value:
        line = _written(known.field, field, value, on_command_line=on_command_line)
        written = f"{known.text}: {line}" if known.text else line
    return Advice(field, written + _inside(value))


def refused_value(value: Any) -> Advice | None:
    """Why a value that is none of a field's choices is nothing that Tutelage does; None for any other value."""
    known = meaning(value) if isinstance(value, str) else None
    return None if known is None or known.field else Advice(None, known.text)


@cache
def _meanings() -> dict[str, Meaning]:
    table = yamltext.table("tutelage.config", "foreign_words.yaml")
    meanings = {
        str(word): Meaning(field, same_value=True) for field, words in table["same"].items() for word in words
    }
    for entry in table["otherwise"]:
        known = Meaning(entry["field"], entry["write"], same_value=entry.get("same_value", False))
        meanings |= {str(word): known for word in entry["words"]}
    for entry in (*table["none"], *table["not_here"]):
        meanings |= {str(word): Meaning("", entry["why"]) for word in entry["words"]}
    return meanings


def _folded(word: str) -> str:
    return word.strip().lstrip("-").replace("-", "_").casefold()


def _inside(value: Any) -> str:
    """Where the words inside a foreign block lead."""
    if not isinstance(value, Mapping):
        return ""
    known = [(str(word), found) for word, inner in value.items() if (found := _inner(str(word))) is not None]
    texts = [f"{word} is {found.field or 'nothing here'}" for word, found in known[:_MOST_NAMED]]
    return f" (in it, {', '.join(texts)})" if texts else ""


def _inner(word: str) -> Meaning | None:
    places = _places().get(word, ())
    return meaning(word) or (Meaning(places[0]) if len(places) == 1 else None)


def _written(field: str, filled: str, value: Any, *, on_command_line: bool) -> str:
    """The field with its value as it is written, or without where the value is none of the field's."""
    fitting = next((form for form in (value, [value]) if _fits(field, form)), None)
    known = value is None or fitting is not None
    shown = fitting if known else (_info(field).examples or [fitting])[0]
    text = shown if on_command_line and isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    block, _, name = filled.rpartition(".")
    place = f" in the block {block}" if block else ""
    written = f"write --set {filled}={text}" if on_command_line else f"write  {name}: {text}{place}"
    return written if known else f"{written}, say: {_info(field).description}"


def _fits(field: str, value: Any) -> bool:
    """Whether a value is one that the field takes, and short enough to be repeated."""
    info = _info(field)
    annotation: Any = Annotated[info.annotation, info]
    try:
        text = json.dumps(value, allow_nan=False)
        TypeAdapter(annotation).validate_json(text, strict=True)
    except (ValidationError, ValueError, TypeError):
        return False
    return len(text) <= _LONGEST_VALUE


def _filled(field: str, path: FieldPath) -> str:
    """The field's path as it is written in this recipe: `tasks.0.metrics` for `tasks.metrics`, of the task that the word stands in."""
    first, dot, rest = field.partition(".")
    if first == "tasks" and path[:2] == ("replay", "from"):
        return f"replay.from.{rest}"
    if first not in ("tasks", "watch") or not dot:
        return field
    number = path[1] if len(path) > 1 and path[0] == first and isinstance(path[1], int) else 0
    return f"{first}.{number}.{rest}"


@cache
def _places() -> Mapping[str, tuple[str, ...]]:
    """The paths of all fields of a recipe by their names, shorter paths first; blocks that stand in one another once."""
    by_name: dict[str, list[str]] = {}
    for path in sorted(_paths(Recipe, "", ()), key=lambda path: path.count(".")):
        by_name.setdefault(path.rpartition(".")[2], []).append(path)
    return {name: tuple(paths) for name, paths in by_name.items()}


def _paths(block: type[BaseModel], prefix: str, outer: tuple[type[BaseModel], ...]) -> Iterator[str]:
    """The paths of a block's fields. Rows to replay are written as tasks are, and stand for tasks."""
    for name, info in _fields(block).items():
        yield prefix + name
        for inner in _blocks(info.annotation):
            if inner not in (*outer, block) and f"{prefix}{name}" != "replay.from":
                yield from _paths(inner, f"{prefix}{name}.", (*outer, block))


def _info(field: str) -> FieldInfo:
    """The field at a path."""
    block: type[BaseModel] = Recipe
    *blocks, name = field.split(".")
    for outer in blocks:
        block = next(_blocks(_fields(block)[outer].annotation))
    return _fields(block)[name]


def _fields(block: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in block.model_fields.items()}


def _blocks(annotation: Any) -> Iterator[type[BaseModel]]:
    """The blocks in an annotation."""
    if is_block(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _blocks(part)
