"""The errors that Tutelage raises.

    TutelageError            exit  says where, what was found, what was expected, what to do
    ├── InputError              2  the user's input is wrong: a file, a recipe, an argument
    │   └── InputErrors         2  several of them, reported at once
    ├── MachineError            3  disk, memory, network or another process failed
    └── Stopped               130  Ctrl-C: a clean stop
        └── Terminated          143  SIGTERM: the same

Exit code 1 belongs to no error: it means that a budget or a check was not met.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from tutelage.core.limits import MAX_ERROR_BYTES, MAX_ERRORS, MAX_MISTAKES

_Value = TypeVar("_Value")

_LIMITS = (2000, 600, 200, 60, 20)
"""Characters that each part of an error may have, tried in turn until all of it fits."""
_VARYING = re.compile(r"\d+|\"(?:[^\"\\]|\\.)*\"")
_PLACES = 5
"""Places that are named of a mistake in many places."""
_SHORT = 40
"""Characters up to which what was found is shown at each of several places."""


class TutelageError(Exception):
    """An error that the user can act on.

    Args:
        problem: what is wrong, in one sentence.
        where: `file:line`, or the recipe's field path.
        found: what is there.
        expected: what may be there.
        fix: what to do.
    """

    exit_code = 3

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        found: str | None = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem = problem
        self.where = where
        self.found = found
        self.expected = expected
        self.fix = fix
        super().__init__(self.block())

    def block(self) -> str:
        """The error as a few lines for the user, of bounded length."""
        return next(text for limit in _LIMITS if _fits(text := self._lines(limit)) or limit == _LIMITS[-1])

    def as_json(self) -> dict[str, Any]:
        """The error for programs, of bounded length."""
        return next(value for limit in _LIMITS if _fits(value := self._parts(limit)) or limit == _LIMITS[-1])

    def _lines(self, limit: int) -> str:
        """The error for people, no part of it with more than `limit` characters."""
        parts = self._parts(limit)
        head = f"{parts['where']}: {parts['problem']}" if parts["where"] else f"{parts['problem']}"
        rows = [(name, parts[name]) for name in ("found", "expected", "fix")]
        return "\n".join([head, *(f"  {name + ':':<10}{value}" for name, value in rows if value)])

    def _parts(self, limit: int) -> dict[str, Any]:
        """The error for programs, no part of it with more than `limit` characters."""
        names = ("problem", "where", "found", "expected", "fix")
        return {name: _shortened(getattr(self, name), limit) for name in names}


class InputError(TutelageError):
    """The user's input is wrong."""

    exit_code = 2

    @property
    def mistakes(self) -> tuple[InputError, ...]:
        """The mistakes that it reports: itself, or those of an `InputErrors`."""
        return (self,)

    def at(self, where: str) -> InputError:
        """The same mistake with another place."""
        return InputError(self.problem, where=where, found=self.found, expected=self.expected, fix=self.fix)


class InputErrors(InputError):
    """Several mistakes of one input, reported together; a mistake that occurs in many places is printed once.

    Args:
        title: what was read.
        errors: the mistakes, at least one.
        total: how many there are, when not all of them are in `errors`.
    """

    def __init__(self, title: str, errors: Sequence[InputError], *, total: int | None = None) -> None:
        self.title = title
        self.errors = tuple(errors)
        self.total = max(total or 0, len(self.errors))
        super().__init__(title)

    @property
    def mistakes(self) -> tuple[InputError, ...]:
        """The mistakes that it reports."""
        return self.errors

    def _lines(self, limit: int) -> str:
        groups = _grouped(self.errors)
        more = " or more" if self.total == len(self.errors) == MAX_MISTAKES else ""
        head = (
            f"{_shortened(self.title, limit)}: {self.total:,} mistake{'s' if self.total != 1 else ''}{more}"
        )
        blocks = [_group_lines(group, limit) for group in groups[:MAX_ERRORS]]
        unshown = self.total - sum(map(len, groups[:MAX_ERRORS]))
        if unshown:
            blocks.append(f"and {unshown:,} more mistakes")
        return "\n\n".join([head, *blocks])

    def _parts(self, limit: int) -> dict[str, Any]:
        groups = _grouped(self.errors)[:MAX_ERRORS]
        return {
            "problem": _shortened(self.title, limit),
            "mistakes": self.total,
            "errors": [_group_parts(group, limit) for group in groups],
        }


def _grouped(errors: Sequence[InputError]) -> list[list[InputError]]:
    """The errors, those that are the same but for their place and what was found there together."""
    groups: dict[tuple[str, str | None, str | None], list[InputError]] = {}
    for error in errors:
        key = (_VARYING.sub("#", error.problem[:500]), error.expected, error.fix)
        groups.setdefault(key, []).append(error)
    return list(groups.values())


def _group_lines(group: Sequence[InputError], limit: int) -> str:
    lines = group[0]._lines(limit)  # noqa: SLF001 - private to the classes of this file
    if len(group) == 1:
        return lines
    rest = group[1 : _PLACES + 1]
    places = ", ".join(_place(error, limit) + _difference(error, group[0]) for error in rest)
    unnamed = len(group) - 1 - len(rest)
    return f"{lines}\n  also at:  {places}{f' and {unnamed:,} more' if unnamed else ''}"


def _group_parts(group: Sequence[InputError], limit: int) -> dict[str, Any]:
    parts = group[0]._parts(limit)  # noqa: SLF001 - as above
    places = [_place(error, limit) for error in group[1 : _PLACES + 1]]
    return {**parts, "also_at": places, "places": len(group)} if places else parts


def _place(error: InputError, limit: int) -> str:
    return _shortened(error.where, min(limit, 200)) or "?"


def _difference(error: InputError, first: InputError) -> str:
    """What was found at another place, where that is short and adds to the place."""
    text = error.found or ""
    redundant = text in ("", first.found) or len(text) > _SHORT or text in (error.where or "")
    return "" if redundant else f" ({text})"


def _shortened(text: str | None, limit: int) -> str | None:
    """A text without its middle when it has more than `limit` characters."""
    if text is None or len(text) <= limit:
        return text
    head, tail = limit - limit // 4, limit // 4
    return f"{text[:head]} … ({len(text) - head - tail:,} characters) … {text[len(text) - tail :]}"


def _fits(value: str | dict[str, Any]) -> bool:
    """Whether an error is short enough as it is printed, in text or JSON."""
    most = 12  # bytes of a character: an escaped pair of surrogates
    is_short = isinstance(value, str) and most * len(value) <= MAX_ERROR_BYTES
    return is_short or len(json.dumps(value)) <= MAX_ERROR_BYTES


class MachineError(TutelageError):
    """The machine failed: disk, memory, network, another process."""

    exit_code = 3


class Stopped(TutelageError):
    """The user pressed Ctrl-C; everything finished is kept."""

    exit_code = 130


class Terminated(Stopped):
    """The system or another program ended this one with SIGTERM; everything finished is kept."""

    exit_code = 143


def raise_all(title: str, errors: Sequence[InputError], *, total: int | None = None) -> None:
    """Raise collected mistakes: one as it is, several as `InputErrors` with this `total`; none raises nothing."""
    if len(errors) == 1 and (total or 1) == 1:
        raise errors[0]
    if errors:
        raise InputErrors(title, errors, total=total)


def value_or_raise(result: _Value | InputError) -> _Value:
    """A result that is a value; one that is an error is raised."""
    if isinstance(result, InputError):
        raise result
    return result
