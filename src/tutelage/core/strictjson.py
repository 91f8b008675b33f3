"""JSON without the leniencies of Python's reader: no NaN, no repeated key, no lone surrogate, bounded depth and integers."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import orjson

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_INTEGER_DIGITS, MAX_JSON_DEPTH
from tutelage.core.types import Json

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LITERALS = ("true", "false", "null")

_DIGITS = b"\1" * 20
_MARKS = bytes.maketrans(b"0123456789-", b"\1" * 11)
"""For a text without control characters: digits and minus by a mark that nothing else in it has."""
_LONG_INTEGER = re.compile(rb"[0-9]{20}|-[0-9]{19}")
"""What an integer beyond 64 bits has: 2**63 has 19 digits, 2**64 has 20."""

_2_63 = float(2**63)
_MARK = f"between lines {secrets.token_hex(16)}"
_BETWEEN = f',"{_MARK}",'.encode()

_NEAR = 32
"""Characters: longer than what a cut can leave of a number, a literal or an escape."""


class _Fault(Exception):
    """What a hook of the parser found: problem, found, expected, fix."""


def loads(text: str, *, where: str, whole: bool = True) -> Json:
    """Read one JSON value.

    Args:
        text: the value's text, decoded.
        where: `file:line`, for the errors.
        whole: False when the text may have been cut off at its end, which the error then says.

    Raises:
        InputError: for anything that is not strict JSON, with the column.
    """
    try:
        value: Json = _DECODER.decode(text)
    except _Fault as fault:
        problem, found, expected, fix = fault.args
        raise InputError(problem, where=where, found=found, expected=expected, fix=fix) from None
    except json.JSONDecodeError as error:
        raise _syntax(error, text, where, whole=whole) from None
    except RecursionError:
        raise _too_deep(where) from None
    _check(value, text, where)
    return value


class Quick(NamedTuple):
    """A value that was read, and the same value written again: UTF-8, in which only quotes, backslashes and controls are escaped."""

    value: dict[str, Json]
    written: bytes


class QuickAll(NamedTuple):
    """The values of many lines, and all of them written again."""

    values: list[dict[str, Json]]
    written: bytes


def quick(text: bytes) -> Quick | None:
    """An object as `loads` gives it, when nothing is wrong or doubtful; else None, and `loads` has to look.

    orjson reads it. What that lets pass is looked for afterwards: a repeated key has lost strings, so that fewer quotes are
    written again than stood there; an integer beyond 64 bits became another number; nothing says how deep the value is.
    """
    try:
        value = orjson.loads(text)
        if type(value) is not dict or not value:
            return None
        written = orjson.dumps(value)
    except (ValueError, TypeError):
        return None
    if _doubtful(text, written) or (
        text.count(b"[") + text.count(b"{") > MAX_JSON_DEPTH and depth(value) > MAX_JSON_DEPTH
    ):
        return None
    return Quick(value, written)


def quick_all(lines: Sequence[bytes]) -> QuickAll | None:
    """Many lines as `quick` gives each, read at once; None when any of them is wrong or doubtful.

    A text that no file holds stands between them: a value that goes on behind its line, or two values on one, are found.
    """
    text = b"[" + _BETWEEN.join(lines) + b"]"
    try:
        found = orjson.loads(text)
        values = found[::2]
        whole = len(found) == 2 * len(lines) - 1 and found[1::2].count(_MARK) == len(lines) - 1
        if not whole or set(map(type, values)) != {dict} or not all(values):
            return None
        written = orjson.dumps(values)
    except (ValueError, TypeError):
        return None
    held = set(map(type, chain.from_iterable(map(dict.values, values))))
    flat = held.isdisjoint((dict, list))
    if _doubtful(text, written, marks=2 * (len(lines) - 1), numbers=not flat or _wide(values, held)):
        return None
    if not flat and any(
        line.count(b"[") + line.count(b"{") > MAX_JSON_DEPTH and depth(value) > MAX_JSON_DEPTH
        for line, value in zip(lines, values, strict=True)
    ):
        return None
    return QuickAll(values, written)


def _wide(values: Sequence[dict[str, Json]], held: set[type]) -> bool:
    """Whether a flat value may be an integer beyond 64 bits: such a one was read as a float of that size."""
    return float in held and any(
        not -_2_63 < number < _2_63
        for number in [one for one in chain.from_iterable(map(dict.values, values)) if type(one) is float]
    )


def _doubtful(text: bytes, written: bytes, *, marks: int = 0, numbers: bool = True) -> bool:
    """Whether strings of a text, less some quotes, are not all there as it was written again, or it holds a long integer.

    `numbers` says whether there may be one.
    """
    # An escaped quote could make up for the two of a key that was lost.
    if b"\\u00" in text and (b"\\u0022" in text or b"\\u0000" in text):
        return True
    if written.count(b'"') + marks != text.count(b'"'):
        return True
    return numbers and _DIGITS in text.translate(_MARKS) and _LONG_INTEGER.search(text) is not None


def scan(text: str, at: int, *, where: str, line: int, whole: bool) -> tuple[Json, int] | None:
    """Read the value that begins at a place of a longer text, and find its end.

    Args:
        text: what is there of the text.
        at: where the value begins.
        where: the file, for the errors.
        line: the physical line of `at`.
        whole: whether the text goes no further.

    Returns:
        The value and the place after it; None when the value may go on behind what is there.

    Raises:
        InputError: for anything that is not strict JSON, with file and line.
    """
    place = f"{where}:{line}"
    try:
        value, end = _DECODER.raw_decode(text, at)
    except _Fault as fault:
        problem, found, expected, fix = fault.args
        raise InputError(problem, where=place, found=found, expected=expected, fix=fix) from None
    except json.JSONDecodeError as error:
        # A fault near the end of what is there, or a text without its closing quote, may be no fault at all.
        if not whole and (len(text) - error.pos < _NEAR or error.msg.startswith("Unterminated string")):
            return None
        raise _in_file(error, text, where, line + text.count("\n", at, error.pos), whole=whole) from None
    except RecursionError:
        raise _too_deep(place) from None
    if end == len(text) and not whole:
        return None
    _check(value, text[at:end], place)
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


def kind(value: Any) -> str:
    """A value's type in JSON's words: 'text', 'a number', 'null', ..."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return (
        "a list"
        if isinstance(value, list)
        else "an object"
        if isinstance(value, dict)
        else type(value).__name__
    )


def shorten(text: str, limit: int = 60) -> str:
    """A piece of a person's text for an error: one line, quoted, control characters escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return json.dumps(cut, ensure_ascii=False)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise _Fault(
            f"the key {shorten(twice)} stands twice in one object",
            f"{names.count(twice)} values for {shorten(twice)}",
            "every key once",
            "keep one of them: readers differ in which one they would take",
        )
    return made


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
    """How many lists and objects stand inside one another."""
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
