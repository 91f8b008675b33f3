"""Errors about a row, with the file and line that the row came from."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.core.errors import InputError, InputErrors


def at_line(error: InputError, shown: str, lines: Sequence[int]) -> InputError:
    """The error of a metric about `row N`, or about several rows, with the file and line of each row instead.

    Args:
        error: what the metric raised.
        shown: the file's name for messages.
        lines: the line of each row that the metric scored.
    """
    if isinstance(error, InputErrors):
        return InputErrors(shown, [at_line(part, shown, lines) for part in error.errors], total=error.total)
    head, comma, field = (error.where or "").partition(", ")
    number = head.removeprefix("row ")
    if number == head or not number.isdecimal():
        return error
    return error.at(f"{shown}:{lines[int(number) - 1]}{comma}{field}")
