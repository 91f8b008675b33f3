"""Check the JSON documents of a run's or an evaluation's folder, whenever one is read, against `schemas.yaml`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.limits import MAX_ERRORS

MAX_MAGNITUDE = 1e100
"""All numbers of a document are smaller than this, so that their sums and squares do not overflow."""

_SHA256 = re.compile("[0-9a-f]{64}")

Mismatch = tuple[tuple[str, ...], Any, str]
"""The path of a value in the document, the value, and what is expected."""


def check(schema: str, document: Mapping[str, Any], *, where: str, fix: str) -> None:
    """Check a document against its schema.

    Args:
        schema: the document's name in `schemas.yaml`.
        document: the document.
        where: its file, for errors.
        fix: what the user can do about a damaged document.

    Raises:
        InputErrors: at most 20 mismatches, each with file and field.
    """
    mistakes = [
        InputError(
            "not as it must be",
            where=f"{where}: {'.'.join(path)}",
            found=_shortened(value),
            expected=expected,
            fix=fix,
        )
        for path, value, expected in _check_object(schema, document, ())
    ]
    if mistakes:
        raise InputErrors(f"{where} is not a whole {Path(where).name}", mistakes[:MAX_ERRORS])


def _number(value: Any) -> bool:
    return type(value) in (int, float) and -MAX_MAGNITUDE < value < MAX_MAGNITUDE


_SCALARS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "any": ("a value", lambda _: True),
    "number": ("a finite number", _number),
    # A probability, with room for rounding.
    "share": ("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1.000001),
    "count": ("a whole number of 0 or more", lambda value: type(value) is int and 0 <= value < 2**53),
    "text": ("a text", lambda value: isinstance(value, str)),
    "term": (
        "a weight, or the name of a way to weigh",
        lambda value: _number(value) or isinstance(value, str),
    ),
    "sha256": ("64 hex digits", lambda value: isinstance(value, str) and bool(_SHA256.fullmatch(value))),
    "shares": (
        "a number, or numbers by name",
        lambda value: _number(value) or (isinstance(value, Mapping) and all(map(_number, value.values()))),
    ),
    "answer": ("yes or no or unclear", lambda value: value in ("yes", "no", "unclear")),
    "recorded": ("when written or later", lambda value: value in ("when written", "later")),
}
"""What each scalar type is, and whether a value is of that type."""


def _check_value(expected: Any, value: Any, path: tuple[str, ...]) -> Iterator[Mismatch]:
    match expected:
        case str() if expected in _SCALARS:
            description, fits = _SCALARS[expected]
            if not fits(value):
                yield path, value, description
        case str():
            yield from _check_object(expected, value, path)
        case [item_type] if isinstance(value, list | tuple):
            for number, item in enumerate(value):
                yield from _check_value(item_type, item, (*path, str(number)))
        case [_]:
            yield path, value, "a list"
        case {"each": value_type} if isinstance(value, Mapping):
            for key, inner in value.items():
                yield from _check_value(value_type, inner, (*path, key))
        case _:
            yield path, value, "an object"


def _check_object(schema: str, value: Any, path: tuple[str, ...]) -> Iterator[Mismatch]:
    if not isinstance(value, Mapping):
        yield path, value, "an object"
        return
    mismatches: list[Mismatch] = []
    for entry, expected in yamltext.table("tutelage.results", "schemas.yaml")[schema].items():
        key = entry.rstrip("?")
        if key not in value:
            if key == entry:
                mismatches.append(((*path, key), None, "a value"))
        elif value[key] is not None or not entry.endswith("??"):
            mismatches += _check_value(expected, value[key], (*path, key))
    yield from mismatches
    # Rules across keys rely on the types of these.
    if schema in _RULES and not mismatches:
        for key, expected in _RULES[schema](value):
            yield (*path, *key.split(".")), _value_at(value, key), expected


def _outcome_rules(outcome: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for side in ("base", "tuned", "difference"):
        if outcome["primary"] not in outcome[side]:
            yield "primary", f"a metric that stands in {side}"
        if outcome[side].keys() != outcome["base"].keys():
            yield side, "the same metrics as in base"


def _complete_or_empty(keys: Sequence[str], value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if value:
        yield from ((key, "a value") for key in keys if key not in value)


def _token_rules(counts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if counts.get("tokens") and counts.get("loss_tokens") is None:
        yield "loss_tokens", "a whole number beside tokens"


def _training_rules(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tasks = training.get("tasks")
    if training.get("fill") is not None and training.get("packs") is None:
        yield "packs", "a whole number beside fill"
    if tasks and not sum(task["rows"] for task in tasks.values()):
        yield "tasks", "at least one row"


def _card_rules(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tasks = (card.get("training") or {}).get("tasks")
    replay = (card.get("mixture") or {}).get("replay")
    if tasks and replay:
        if replay["from"] not in tasks:
            yield "mixture.replay.from", "a task that was trained on"
        if not sum(task["tokens"] for task in tasks.values()):
            yield "training.tasks", "at least one token"


def _sequence_rules(sequence: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    last = len(sequence["stages"]) - 1
    for task in sequence["tasks"].values():
        needed = {str(task["stage"]), *([str(last)] if "change" in task else [])}
        if not 1 <= task["stage"] <= last or not needed <= task["scores"].keys():
            yield "tasks", "scores of every task after its own stage and after the last one"
            return


def _since_original_rules(change: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "not_compared" not in change:
        yield from _complete_or_empty(("value", "low", "high", "n"), {"": 0, **change})


_RULES: dict[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]] = {
    "outcome": _outcome_rules,
    "quantiles": partial(_complete_or_empty, ("min", "median", "p95", "max")),
    "histogram": partial(_complete_or_empty, ("start", "width", "bars")),
    "token_counts": _token_rules,
    "training": _training_rules,
    "card": _card_rules,
    "sequence": _sequence_rules,
    "since_original": _since_original_rules,
}
"""By object, a function that yields keys that do not fit to others, and what is expected."""


def _value_at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key)
    return value


def _shortened(value: Any) -> str:
    if value is None:
        return "nothing"
    try:
        text = json.dumps(value, ensure_ascii=True, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text[:200]
