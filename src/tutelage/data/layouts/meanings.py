"""Says what becomes of names that carry meaning: keys of turns, columns beside a conversation, columns of a table.

`meanings.yaml` has the names. A value says nothing when it is null, empty, or false; weights are read by `weight_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Json

Place = Literal["turn", "conversation", "row"]
"""Where a name stands: a key of a turn, a column beside a conversation, or a column of a row without turns."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name says, and what becomes of it.

    Attributes:
        use: see `meanings.yaml`.
        holds: what it holds, for errors.
        fix: what to do about it, with {key} and {content}; '' for the usual advice.
    """

    use: Literal["system", "history", "weight", "refused"]
    holds: str = ""
    fix: str = ""


@cache
def _meanings(place: Place) -> Mapping[str, Meaning]:
    entries = yamltext.table("tutelage.data.layouts", "meanings.yaml")[place]
    return {
        name: Meaning(entry["use"], entry.get("holds", ""), entry.get("fix", ""))
        for entry in entries
        for name in entry["names"]
    }


@cache
def meaning_of(place: Place, name: str) -> Meaning | None:
    """What a name says at a place; None if it is known for nothing."""
    return _meanings(place).get(name.strip().lower().replace("-", "_").replace(" ", "_"))


def says_something(value: Json) -> bool:
    """Whether a value holds anything: neither null, false, blank, nor a list or object of such values."""
    if isinstance(value, str):
        return bool(value.strip()) and value.strip() not in ("[]", "{}", "null")
    if isinstance(value, list):
        return any(map(says_something, value))
    if isinstance(value, dict):
        return any(map(says_something, value.values()))
    return value is not None and value is not False


def weight_of(value: Json, location: str, where: str) -> int:
    """The weight of a turn or conversation, 0 or 1.

    Raises:
        InputError: the value is another one.
    """
    if value is None:
        return 1
    if value in (0, 1) and isinstance(value, int | float):
        return int(value)
    raise InputError(
        f"the field {location} is no weight",
        where=where,
        found=shorten(value) if isinstance(value, str) else str(value) if value else json_kind(value),
        expected="0 or false for what is not learned, 1 or true for what is",
        fix="write one of them; parts of a turn, and weights between 0 and 1, cannot be learned",
    )
