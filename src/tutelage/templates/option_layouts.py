"""Formats a list of answer choices for a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

LETTERED = ("letters", "points")
"""The layouts in which each choice has a letter."""


def option_letter(index: int) -> str:
    """The letter of a choice, counted from 0: A to Z, then AA, AB, ..."""
    higher, last = divmod(index, 26)
    return (option_letter(higher - 1) if higher else "") + chr(ord("A") + last)


def _either(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


LAYOUTS: dict[str, Callable[[Sequence[str]], str]] = {
    "dashes": lambda choices: "\n".join(f"- {choice}" for choice in choices),
    "stars": lambda choices: "\n".join(f"* {choice}" for choice in choices),
    "lines": "\n".join,
    "letters": lambda choices: "\n".join(
        f"({option_letter(i)}) {choice}" for i, choice in enumerate(choices)
    ),
    "points": lambda choices: "\n".join(f"{option_letter(i)}. {choice}" for i, choice in enumerate(choices)),
    "numbers": lambda choices: "\n".join(f"{i}. {choice}" for i, choice in enumerate(choices, 1)),
    "commas": ", ".join,
    "either": _either,
    "slashes": " / ".join,
    "quotes": lambda choices: _either([f'"{choice}"' for choice in choices]),
}
