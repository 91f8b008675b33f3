"""A column's raw values to the words that a model shall answer with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten
from tutelage.core.types import Example, Json

MAX_LABELS = 200
"""Different values of a column that is taken for labels when a recipe names none."""

LabelsGiven = Sequence[str] | Mapping[str, str]
"""Words in order (a raw value is the word itself, or its number counted from 0), or raw value to word."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The words, each once and in order, and which raw value means which of them."""

    words: tuple[str, ...]
    raw: Mapping[str, str]

    def word(self, value: Json, example: Example, column: str, *, where: str) -> str:
        """The word for a row's raw value. Raises InputError, with the row's line, when there is none."""
        key = raw_key(value)
        found = self.raw.get(key, self.raw.get(key.casefold())) if key else None
        if found is not None:
            return found
        raise InputError(
            f"the value of {column} is no label",
            where=str(example.origin),
            found=shorten(key) if key else json_kind(value),
            expected=", ".join(shorten(one)[1:-1] for one in list(self.raw)[:12]),
            fix=f"correct the row, or add the value to {where}.labels",
        )


def raw_key(value: Json) -> str:
    """A raw value as a key: 1, 1.0 and "1" are the same, true is "true"; '' for what cannot be a label."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else str(value)
    return value.strip() if isinstance(value, str) else ""


def labels_for(
    given: LabelsGiven | None, usual: Sequence[str], examples: Sequence[Example], column: str, *, where: str
) -> Labels:
    """The labels of a task.

    Args:
        given: by the recipe.
        usual: the kind's own, taken when the recipe gives none and the column holds these words.
        examples: the task's rows.
        column: where the labels stand.
        where: the task's place in the recipe.

    Raises:
        InputError: none are given and the column does not hold words; it spells the line to write.
    """
    if isinstance(given, Mapping):
        return Labels(tuple(dict.fromkeys(given.values())), dict(given))
    if given is not None:
        words = tuple(given)
        numbers = {str(place): word for place, word in enumerate(words)}
        return Labels(words, {**numbers, **_themselves(words)})
    values = list(dict.fromkeys(raw_key(row.fields.get(column)) for row in examples))
    if usual:
        own = _themselves(usual)
        if any(value in own or value.casefold() in own for value in values):
            return Labels(tuple(usual), own)
        raise _say_which(values, usual, examples, column, where)
    if all(isinstance(row.fields.get(column), str) for row in examples) and len(values) <= MAX_LABELS:
        words = tuple(sorted(value for value in values if value))
        return Labels(words, {word: word for word in words})
    raise _say_which(values, usual, examples, column, where)


def _themselves(words: Sequence[str]) -> dict[str, str]:
    """Each word, as it stands and in small letters, for itself; true and false for yes and no."""
    own = {**{word.casefold(): word for word in words}, **{word: word for word in words}}
    truth = {"true": own["yes"], "false": own["no"]} if {"yes", "no"} <= set(own) else {}
    return {**truth, **own}


def _say_which(
    values: Sequence[str], usual: Sequence[str], examples: Sequence[Example], column: str, where: str
) -> InputError:
    shown = sorted(value for value in values if value)[:8]
    words = [*usual, *["..."] * len(shown)]
    pairs = ", ".join(f"{_yaml(value)}: {_yaml(word)}" for value, word in zip(shown, words, strict=False))
    many = "" if len(values) <= len(shown) else f" and {len(values) - len(shown)} more"
    return InputError(
        f"the values of {column} do not say in words what they mean",
        where=f"{examples[0].origin.file}, for {where}.labels",
        found=", ".join(shorten(value, 30) for value in shown) + many,
        expected=" or ".join(usual)
        if usual
        else f"at most {MAX_LABELS} different texts, or labels in the recipe",
        fix=f"write into the task  labels: {{{pairs}}}  and check which is which",
    )


def _yaml(text: str) -> str:
    plain = text.replace("-", "").replace("_", "").isalnum() and text.lower() not in (
        "yes",
        "no",
        "true",
        "false",
    )
    return text if plain or text == "..." else json.dumps(text, ensure_ascii=False)
