"""Converts the many shapes in which data sets store choices, answers, entities and records to one shape each."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.core.types import Json
from tutelage.templates.labels import raw_key
from tutelage.templates.option_layouts import option_letter


class ShapeError(ValueError):
    """A value does not have the shape that its field needs; the message names that shape."""


def number_or_text(value: Json) -> str | int | float | None:
    """The value if it is a text or a number, else None."""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def answer_texts(value: Json) -> tuple[str, ...]:
    """The distinct texts of a list of correct answers; empty if the value is not such a list."""
    if isinstance(value, list) and value and all(isinstance(text, str) and text.strip() for text in value):
        return tuple(dict.fromkeys(str(text) for text in value))
    return ()


def joined_tokens(value: Json) -> str | int | float | None:
    """The tokens of a list joined by spaces; a text or a number as it is."""
    if isinstance(value, list) and value and all(isinstance(token, str) for token in value):
        return " ".join(str(token) for token in value)
    return number_or_text(value)


def choices_of(value: Json) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The choices and their names: of a list of texts, or of an object {text: [...], label: [...]}."""
    parts = value if isinstance(value, dict) else {"text": value}
    texts_value, names = parts.get("text"), parts.get("label")
    texts = [number_or_text(item) for item in texts_value] if isinstance(texts_value, list) else []
    if len(texts) < 2 or any(text is None or not str(text).strip() for text in texts):
        raise ShapeError("a list of two texts or more")
    choice_names = (
        [raw_key(item) for item in names] if isinstance(names, list) and len(names) == len(texts) else []
    )
    return tuple(str(text) for text in texts), tuple(choice_names)


def choice_index(value: Json, choices: Sequence[str], names: Sequence[str]) -> int:
    """The index of the choice that a raw answer means: by its text, its name, its letter, or its number from 0."""
    key = raw_key(value)
    letters = [option_letter(index) for index in range(len(choices))]
    numbers = [str(index) for index in range(len(choices))]
    for names_in_order in ([choice.strip() for choice in choices], names, letters, numbers):
        if key and key in names_in_order:
            return names_in_order.index(key)
    raise ShapeError(f"one of the choices, its letter, or its number from 0 to {len(choices) - 1}")


def entities_of(value: Json, tokens: Json) -> Json:
    """Entities as a list of {text, type}, from such a list or from tags (B-x, I-x, O) and tokens; a text stays as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        entities: list[Json] = []
        for item in value:
            item_fields: dict[str, Json] = dict(item) if isinstance(item, dict) else {}
            kind = next((item_fields[key] for key in ("type", "label", "entity") if key in item_fields), None)
            text = next((item_fields[key] for key in ("text", "name", "word") if key in item_fields), None)
            if not isinstance(kind, str) or not isinstance(text, str):
                raise ShapeError("a list of {text: ..., type: ...}")
            entities.append({"text": text, "type": kind})
        return entities
    tags = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
    if tags and isinstance(tokens, list) and isinstance(value, list) and len(tokens) == len(value):
        from tutelage.metrics.tag_schemes import conlleval_entities

        spans = conlleval_entities([str(item) for item in value])
        return [{"text": " ".join(map(str, tokens[a : b + 1])), "type": kind} for kind, a, b in spans]
    raise ShapeError("a list of {text, type}, a text, or one tag (B-x, I-x, O) for every token")


def record_text(value: Json) -> str | int | float:
    """Facts as text: an object's names and values a line each, a list's items a line each."""
    scalar = number_or_text(value)
    if scalar is not None:
        return scalar
    if isinstance(value, dict) and value:
        return "\n".join(
            f"{name}: {_flatten(inner)}" for name, inner in value.items() if inner not in (None, "", [])
        )
    if isinstance(value, list) and value:
        return "\n".join(_flatten(item, " | ") for item in value)
    raise ShapeError("a text, an object with values, or a list of facts")


def _flatten(value: Json, separator: str = ", ") -> str:
    if isinstance(value, list):
        return separator.join(_flatten(item) for item in value)
    if isinstance(value, dict):
        return separator.join(f"{name}: {_flatten(item)}" for name, item in value.items())
    return "" if value is None else "yes" if value is True else "no" if value is False else str(value)
