"""A strict JSON reader: no NaN (but where it is asked for), no repeated keys, no lone surrogates, bounded depth and integers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_INTEGER_DIGITS, MAX_JSON_DEPTH
from tutelage.core.types import Json

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LITERALS = ("true", "false", "null")
_KINDS: tuple[tuple[Any, str], ...] = (
    (type(None), "null"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "text"),
    (list, "a list"),
    (dict, "an object"),
)

_NEAR = 32
"""Characters: longer than what a cut can leave of a number, a literal or an escape."""


class _Fault(Exception):
    """A mistake noticed by a hook of the parser: problem, found, expected, fix."""


def loads(text: str, *, where: str, whole: bool = True, nan: bool = False) -> Json:
    """Read one JSON value.

    Args:
        text: the value's text, decoded.
        where: `file:line`, for the errors.
        whole: False when the text may have been cut off at its end, which the error then says.
        nan: whether NaN, Infinity and -Infinity are read, as floats.

    Raises:
        InputError: for anything that is not strict JSON, with the column.
    """
    try:
        value: Json = (_NAN_DECODER if nan else _DECODER).decode(text)
    except (_Fault, RecursionError) as fault:
        raise _fault_error(fault, where) from None
    except json.JSONDecodeError as error:
        raise _syntax(error, text, where, whole=whole) from None
    _check(value, text, where)
    return value


def _fault_error(fault: _Fault | RecursionError, where: str) -> InputError:
    if isinstance(fault, RecursionError):
        return _too_deep(where)
    problem, found, expected, fix = fault.args
    return InputError(problem, where=where, found=found, expected=expected, fix=fix)


def scan(
    text: str, start: int, *, where: str, line: int, whole: bool, nan: bool = False
) -> tuple[Json, int] | None:
    """Read the value that begins at a position of a longer text, and find its end.

    Args:
        text: as much of the text as was read.
        start: where the value begins.
        where: the file, for the errors.
        line: the physical line of `start`.
        whole: whether the text goes no further.
        nan: whether NaN, Infinity and -Infinity are read, as floats.

    Returns:
        The value and the position after it; None when the value may continue after what was read.

    Raises:
        InputError: for anything that is not strict JSON, with file and line.
    """
    place = f"{where}:{line}"
    try:
        value, end = (_NAN_DECODER if nan else _DECODER).raw_decode(text, start)
    except (_Fault, RecursionError) as fault:
        raise _fault_error(fault, place) from None
    except json.JSONDecodeError as error:
        # A fault near the end of what is there, or a text without its closing quote, may be no fault at all.
        if not whole and (len(text) - error.pos < _NEAR or error.msg.startswith("Unterminated string")):
            return None
        raise _in_file(error, text, where, line + text.count("\n", start, error.pos), whole=whole) from None
    if end == len(text) and not whole:
        return None
    _check(value, text[start:end], place)
    return value, end


def strings(value: Json) -> Iterator[str]:
    """All strings in a value, keys too."""
    stack: list[Json] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            stack.extend(reversed(item))
        elif isinstance(item, dict):
            for key, inner in reversed(item.items()):
                stack.append(inner)
                stack.append(key)


def json_kind(value: Any) -> str:
    """A value's JSON type in words: 'text', 'a number', 'null', ..."""
    return next((name for types, name in _KINDS if isinstance(value, types)), type(value).__name__)


def shorten(text: str, limit: int = 60) -> str:
    """A piece of a person's text for an error: one line, quoted, control characters escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return json.dumps(cut, ensure_ascii=False)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [key for key, _ in pairs]
        repeated = next(key for key in names if names.count(key) > 1)
        raise _Fault(
            f"the key {shorten(repeated)} stands twice in one object",
            f"{names.count(repeated)} values for {shorten(repeated)}",
            "every key once",
            "keep one of them: readers differ in which one they would take",
        )
    return value


def _constant(name: str) -> Json:
    raise _Fault(
        f"{name} is not JSON",
        name,
        "a finite number or null",
        "write null, or leave the row out; NaN comes from pandas' or Python's json writer",
    )


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Fault(
            "a number is too large", text[:40], "a number below 1.8e308", "write it as text in quotes"
        )
    return value


def _int(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise _Fault(
            "an integer is too long",
            f"{len(text):,} digits",
            f"at most {MAX_INTEGER_DIGITS} digits",
            "write it as text in quotes",
        )
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
)

_NAN_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=float, parse_float=_float, parse_int=_int
)


def _syntax(error: json.JSONDecodeError, text: str, where: str, *, whole: bool) -> InputError:
    tail = text[error.pos :].strip()
    ends_early = (
        error.msg.startswith("Unterminated string")
        or not tail
        or (len(tail) < 6 and error.msg.startswith("Invalid \\"))
        or any(literal.startswith(tail) for literal in (*_LITERALS, "-"))
    )
    if not whole and ends_early:
        return InputError(
            "the last line is cut off",
            where=where,
            found=f"it ends with {shorten(text[-40:])} and without a line end",
            expected="a whole JSON object",
            fix="the file was not written to its end: write or fetch it again, or delete its last line",
        )
    return InputError(
        f"not valid JSON: {error.msg} (column {error.pos + 1})",
        where=where,
        found=shorten(text[max(0, error.pos - 10) : error.pos + 30]) if text.strip() else "nothing",
        expected="one JSON value",
        fix="a line break between two rows was the old \\r alone: save the file with \\n"
        if "\r" in text
        else "correct the line; a JSON writer such as Python's json.dumps makes no such mistake",
    )


def _in_file(error: json.JSONDecodeError, text: str, where: str, line: int, *, whole: bool) -> InputError:
    """A syntax error of a value that spans lines: the line and column of the fault itself."""
    start = text.rfind("\n", 0, error.pos) + 1
    if whole and not text[error.pos :].strip():
        return InputError(
            "the file is cut off",
            where=f"{where}:{line}",
            found=f"it ends with {shorten(text[-40:])}",
            expected="a whole JSON value",
            fix="the file was not written to its end: write or fetch it again",
        )
    return InputError(
        f"not valid JSON: {error.msg} (column {error.pos - start + 1})",
        where=f"{where}:{line}",
        found=shorten(text[max(0, error.pos - 10) : error.pos + 30]),
        expected="one JSON value",
        fix="correct the place; a JSON writer such as Python's json.dump makes no such mistake",
    )


def _check(value: Json, text: str, where: str) -> None:
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH and depth(value) > MAX_JSON_DEPTH:
        raise _too_deep(where)
    if "\\u" in text and _SURROGATE_ESCAPE.search(text):
        _refuse_surrogates(value, where)


def depth(value: Json) -> int:
    """How deeply lists and objects are nested."""
    level: list[Json] = [value]
    deep = 0
    while level:
        deep += any(isinstance(item, list | dict) for item in level)
        level = [
            inner
            for item in level
            if isinstance(item, list | dict)
            for inner in (item if isinstance(item, list) else item.values())
        ]
    return deep


def _too_deep(where: str) -> InputError:
    return InputError(
        "lists or objects are nested too deeply",
        where=where,
        found=f"more than {MAX_JSON_DEPTH} levels",
        expected=f"at most {MAX_JSON_DEPTH} levels",
        fix="flatten the row: a prompt needs text fields",
    )


def _refuse_surrogates(value: Json, where: str) -> None:
    for text in strings(value):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                "half a character (a lone surrogate) stands in the text",
                where=where,
                found=f"\\u{ord(text[error.start]):04x} at character {error.start} of {shorten(text.encode('ascii', 'backslashreplace').decode())}",
                expected="both halves, or none",
                fix="the text was cut inside an emoji or a rare letter: cut it elsewhere, or drop that half",
            ) from None
