"""The arguments of an instruction, as IFEval's `kwargs` give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tutelage.core.types import Json

Relation = Literal["less than", "at least"]
Argument = int | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArgumentType:
    """What an argument may be.

    Attributes:
        expected: what is accepted, in words, for errors.
        convert: takes a JSON value; the argument, or None when the value is not of this type.
    """

    expected: str
    convert: Callable[[Json], Argument | None]


def holds(count: int, relation: Relation, threshold: int) -> bool:
    """Whether a count is less than a threshold, or at least as large, whichever the relation says."""
    return count < threshold if relation == "less than" else count >= threshold


def _count(value: Json) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of a table with empty cells has floats
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _position(value: Json) -> int | None:
    return _count(value) or None


def _text(value: Json) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text or None


def _texts(value: Json) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    texts = tuple(text for text in value if isinstance(text, str) and text)
    return texts if 0 < len(texts) == len(value) else None


def _relation(value: Json) -> str | None:
    return value if isinstance(value, str) and value in ("less than", "at least") else None


def _character(value: Json) -> str | None:
    text = _text(value)
    return text.lower() if text is not None and len(text) == 1 else None


COUNT = ArgumentType("a whole number from 0", _count)
POSITION = ArgumentType("a whole number from 1", _position)
TEXT = ArgumentType("a text that is not empty", _text)
TEXTS = ArgumentType("a list of texts, none of them empty", _texts)
RELATION = ArgumentType('"less than" or "at least"', _relation)
CHARACTER = ArgumentType("one character", _character)
