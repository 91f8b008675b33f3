"""Errors about a row, with the file and line that the row came from."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.core.errors import InputError


def at_line(error: InputError, shown: str, lines: Sequence[int]) -> InputError:
    """The error of a metric about `row N`, with the file and line of that row instead.

    Args:
        error: what the metric raised.
        shown: the file's name for messages.
        lines: the line of each row that the metric scored.
    """
    head, comma, field = (error.where or "").partition(", ")
    number = head.removeprefix("row ")
    if number == head or not number.isdecimal():
        return error
    where = f"{shown}:{lines[int(number) - 1]}{comma}{field}"
    return InputError(error.problem, where=where, found=error.found, expected=error.expected, fix=error.fix)
