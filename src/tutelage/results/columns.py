"""Values of results.sqlite's columns, checked as they are read: SQLite checks types, but not the JSON inside a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from tutelage.core import strictjson
from tutelage.core.errors import InputError
from tutelage.core.types import Response
from tutelage.results.database import damaged
from tutelage.results.schemas import MAX_MAGNITUDE

_T = TypeVar("_T", dict[str, Any], list[Any])
FINISHES = ("stop", "length", "choice")


def json_value(text: str, kind: type[_T], *, path: Path, where: str) -> _T:
    """Read a column that holds JSON.

    Args:
        text: the column's text.
        kind: dict or list.
        path: the file, for errors.
        where: the place inside it, for errors.

    Raises:
        InputError: it is not strict JSON, or another kind of value.
    """
    try:
        value = strictjson.loads(text, where=where)
    except InputError as error:
        raise damaged(path, found=f"{error.problem}: {text[:80]!r}", where=where) from None
    if not isinstance(value, kind):
        raise damaged(path, found=f"{strictjson.json_kind(value)}: {text[:80]!r}", where=where)
    return cast("_T", value)


def texts(text: str, *, path: Path, where: str) -> tuple[str, ...]:
    """Read a column that holds a JSON list of texts; arguments and errors as of `json_value`."""
    values = json_value(text, list, path=path, where=where)
    if not all(isinstance(value, str) for value in values):
        raise damaged(path, found=text, where=where)
    return tuple(values)


def numbers(text: str, *, path: Path, where: str) -> dict[str, float]:
    """Read a column that holds a JSON object of numbers; arguments and errors as of `json_value`."""
    values = json_value(text, dict, path=path, where=where)
    for name, value in values.items():
        if type(value) not in (int, float) or not -MAX_MAGNITUDE < value < MAX_MAGNITUDE:
            raise damaged(path, found=f"{name}: {value!r}", where=where)
    return values


def response(row: tuple[Any, ...], *, path: Path, where: str) -> Response:
    """Make a response of its row: item, text, finish, tokens, choice, log-probabilities, lengths.

    Raises:
        InputError: a value is impossible.
    """
    item_id, text, finish, tokens, choice, logprobs, lengths = row
    values = json_value(logprobs, list, path=path, where=where)
    counts = [] if lengths is None else json_value(lengths, list, path=path, where=where)
    if finish not in FINISHES:
        raise damaged(path, found=f"finish: {finish!r}", where=where)
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise damaged(path, found=f"logprobs: {logprobs}", where=where)
    if not all(type(count) is int and count >= 0 for count in counts):
        raise damaged(path, found=f"lengths: {lengths}", where=where)
    if tokens < 0 or (choice is not None and choice < 0):
        raise damaged(path, found=f"tokens: {tokens}, choice: {choice}", where=where)
    return Response(
        id=item_id,
        text=text,
        finish=cast("Literal['stop', 'length', 'choice']", finish),
        tokens=tokens,
        choice=choice,
        logprobs=tuple(values),
        lengths=tuple(counts),
    )


def require_scores(
    values: Sequence[float], rows: Sequence[tuple[Any, ...]], *, path: Path, where: str
) -> None:
    """Refuse a score whose item rows do not belong together.

    Args:
        values: the score and its interval.
        rows: of each item its position, id, value, statistics, cluster.
        path: the file, for errors.
        where: the score's place inside it, for errors.

    Raises:
        InputError: a number is out of range, or items have statistics or clusters of several kinds.
    """
    item_values = [value for _, _, value, _, _ in rows if value is not None]
    lengths = {len(statistics) for _, _, _, statistics, _ in rows}
    if not all(-MAX_MAGNITUDE < value < MAX_MAGNITUDE for value in [*values, *item_values]):
        raise damaged(path, found="a value that is no finite number", where=where)
    if len(lengths) > 1 or any(length % 8 for length in lengths):
        raise damaged(path, found="statistics of several lengths, or not of float64", where=where)
    if len({cluster is None for _, _, _, _, cluster in rows}) > 1:
        raise damaged(path, found="some items have a cluster and some have none", where=where)
