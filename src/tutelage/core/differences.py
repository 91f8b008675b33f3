"""What differs between two JSON values, leaf by leaf, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.core.strictjson import shorten

_ABSENT = object()
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not the same: its path with dots between the names, and both values in words."""

    path: str
    old: str
    new: str


def differences(old: Any, new: Any) -> list[Difference]:
    """Every leaf that differs, in the order of the paths. Tuples are lists, as JSON has it."""
    return [
        Difference(".".join(path), _in_words(one), _in_words(other))
        for path, one, other in _walk(old, new, ())
    ]


def listed(found: list[Difference], wording: str, *, most: int = 20) -> str:
    """The differences as one text; `wording` is a format of path, old and new."""
    told = [wording.format(path=one.path, old=one.old, new=one.new) for one in found[:most]]
    return "; ".join([*told, *([f"and {len(found) - most} more"] if len(found) > most else [])])


def _walk(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from _walk(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, str(key)))
    elif _is_list(old) and _is_list(new) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _walk(one, other, (*path, str(index)))
    elif _plain(old) != _plain(new) or isinstance(old, bool) != isinstance(new, bool):
        yield path, old, new


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _in_words(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, str):
        return value[:12] if _HASH.fullmatch(value) else shorten(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
