"""The differences between two JSON values, leaf by leaf, in words."""

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
class JsonDifference:
    """A leaf that differs: its path with dots between the names, and both values in words."""

    path: str
    old: str
    new: str


def differences(old: Any, new: Any) -> list[JsonDifference]:
    """Every leaf that differs, in the order of the paths. Tuples are lists, as JSON has it."""
    return [
        JsonDifference(".".join(path), _in_words(old_leaf), _in_words(new_leaf))
        for path, old_leaf, new_leaf in _walk(old, new, ())
    ]


def join_differences(items: list[JsonDifference], template: str, *, limit: int = 20) -> str:
    """The first differences as one text; `template` is a format string of path, old and new."""
    texts = [template.format(path=item.path, old=item.old, new=item.new) for item in items[:limit]]
    return "; ".join([*texts, *([f"and {len(items) - limit} more"] if len(items) > limit else [])])


def _walk(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from _walk(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, str(key)))
    elif _is_list(old) and _is_list(new) and len(old) == len(new):
        for index, (old_item, new_item) in enumerate(zip(old, new, strict=True)):
            yield from _walk(old_item, new_item, (*path, str(index)))
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
