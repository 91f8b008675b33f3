"""The shapes in which columns hold what a library field needs, brought to one shape each."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.core.types import Json
from tutelage.templates.labels import raw_key
from tutelage.templates.layouts import letter


class ShapeError(ValueError):
    """A value is not of the shape that its field needs; the message says which shape that is."""


def number_or_text(value: Json) -> str | int | float | None:
    """A text or a number as it is; None for anything else."""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def several_texts(value: Json) -> tuple[str, ...]:
    """The texts of a list of right answers; none when it is no such list."""
    if isinstance(value, list) and value and all(isinstance(one, str) and one.strip() for one in value):
        return tuple(dict.fromkeys(str(one) for one in value))
    return ()


def words_of(value: Json) -> str | int | float | None:
    """A text, or the tokens of a list with spaces between."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return " ".join(str(one) for one in value)
    return number_or_text(value)


def choices_of(value: Json) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The choices and their names: of a list of texts, or of an object {text: [...], label: [...]}."""
    told = value if isinstance(value, dict) else {"text": value}
    listed, names = told.get("text"), told.get("label")
    texts = [number_or_text(one) for one in listed] if isinstance(listed, list) else []
    if len(texts) < 2 or any(text is None or not str(text).strip() for text in texts):
        raise ShapeError("a list of two texts or more")
    own = [raw_key(one) for one in names] if isinstance(names, list) and len(names) == len(texts) else []
    return tuple(str(text) for text in texts), tuple(own)


def which(value: Json, choices: Sequence[str], names: Sequence[str]) -> int:
    """Which of the choices a raw answer means: by its text, by its name or letter, or by its number counted from 0."""
    key = raw_key(value)
    letters = [letter(place) for place in range(len(choices))]
    numbers = [str(place) for place in range(len(choices))]
    for known in ([one.strip() for one in choices], names, letters, numbers):
        if key and key in known:
            return known.index(key)
    raise ShapeError(f"one of the choices, its letter, or its number from 0 to {len(choices) - 1}")


def entities_of(value: Json, tokens: Json) -> Json:
    """Entities as a list of {text, type}; a text stays as it is. Tags (B-x, I-x, O) need the list of tokens."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        found: list[Json] = []
        for one in value:
            told: dict[str, Json] = dict(one) if isinstance(one, dict) else {}
            kind = next((told[key] for key in ("type", "label", "entity") if key in told), None)
            text = next((told[key] for key in ("text", "name", "word") if key in told), None)
            if not isinstance(kind, str) or not isinstance(text, str):
                raise ShapeError("a list of {text: ..., type: ...}")
            found.append({"text": text, "type": kind})
        return found
    tags = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    if tags and isinstance(tokens, list) and isinstance(value, list) and len(tokens) == len(value):
        from tutelage.metrics.entities import conlleval

        spans = conlleval([str(one) for one in value])
        return [{"text": " ".join(map(str, tokens[a : b + 1])), "type": kind} for kind, a, b in spans]
    raise ShapeError("a list of {text, type}, a text, or one tag (B-x, I-x, O) for every token")


def record_of(value: Json) -> str | int | float:
    """Facts as text: an object's names and values a line each, a list's items a line each."""
    plain = number_or_text(value)
    if plain is not None:
        return plain
    if isinstance(value, dict) and value:
        return "\n".join(
            f"{name}: {_flat(inner)}" for name, inner in value.items() if inner not in (None, "", [])
        )
    if isinstance(value, list) and value:
        return "\n".join(_flat(one, " | ") for one in value)
    raise ShapeError("a text, an object with values, or a list of facts")


def _flat(value: Json, between: str = ", ") -> str:
    if isinstance(value, list):
        return between.join(_flat(one) for one in value)
    if isinstance(value, dict):
        return between.join(f"{name}: {_flat(one)}" for name, one in value.items())
    return "" if value is None else "yes" if value is True else "no" if value is False else str(value)
