"""Regular expressions from users' files, matched in bounded time.

Python's `re` can take exponential time and cannot be interrupted; `regex`, which reads the same syntax, stops after a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import regex

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_PATTERN_CHARACTERS, MAX_PATTERN_SECONDS
from tutelage.core.strictjson import shorten

_T = TypeVar("_T")


@dataclass(frozen=True)
class Pattern:
    """A regular expression in Python's syntax.

    Attributes:
        text: the expression.
        where: its place in a file, for errors.
    """

    text: str
    where: str = ""

    def check(self) -> None:
        """Raise InputError when it is not a regular expression, or longer than `MAX_PATTERN_CHARACTERS`."""
        _ = self._compiled

    def matches(self, text: str) -> bool:
        """Whether it matches a whole text. Raises InputError when that takes longer than `MAX_PATTERN_SECONDS`."""
        return bool(self._timed(lambda **bound: self._compiled.fullmatch(text, **bound)))

    def replaced(self, by: str, text: str) -> str:
        """The text with all matches replaced, as `re.sub` does it. Raises InputError as `matches` does."""
        return str(self._timed(lambda **bound: self._compiled.sub(by, text, **bound)))

    def split(self, text: str) -> list[str]:
        """The text between the matches, as `re.split` gives it. Raises InputError as `matches` does."""
        parts: list[str] = self._timed(lambda **bound: self._compiled.split(text, **bound))
        return parts

    def captures(self, text: str) -> list[str | None]:
        """For each match its first group that is not empty, None where all are empty; the match itself where there are no groups.

        A single group counts also where it is empty. Raises InputError as `matches` does.
        """
        matches = self._timed(lambda **bound: list(self._compiled.finditer(text, **bound)))
        if self._compiled.groups == 0:
            return [match[0] for match in matches]
        if self._compiled.groups == 1:
            return [match[1] or "" for match in matches]
        return [next(filter(None, match.groups()), None) for match in matches]

    @cached_property
    def _compiled(self) -> Any:
        if len(self.text) > MAX_PATTERN_CHARACTERS:
            raise InputError(
                "the pattern is too long",
                where=self.where,
                found=f"{len(self.text):,} characters",
                expected=f"at most {MAX_PATTERN_CHARACTERS:,}",
                fix="write a shorter one",
            )
        try:
            re.compile(self.text)  # Python's syntax alone: `regex` knows more
            return regex.compile(self.text)
        except (re.error, regex.error, OverflowError, RecursionError) as error:
            raise InputError(
                "the pattern is no regular expression",
                where=self.where,
                found=shorten(self.text),
                expected=f"Python's re: {error}",
                fix="correct it",
            ) from None

    def _timed(self, match: Callable[..., _T]) -> _T:
        try:
            return match(timeout=MAX_PATTERN_SECONDS)
        except TimeoutError:
            raise InputError(
                "the pattern takes too long on a text",
                where=self.where or "a benchmark's pattern",
                found=shorten(self.text),
                expected=f"a match within {MAX_PATTERN_SECONDS} seconds",
                fix="take repetitions inside repetitions, such as (a+)+, out of it",
            ) from None
