"""Maps a label column's raw values to the words that the model answers with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Example, Json

MAX_LABELS = 200
"""Distinct values that a column may have to be used as labels without labels in the recipe."""

LabelSpec = Sequence[str] | Mapping[str, str]
"""Words in order (a raw value is the word itself, or its number counted from 0), or raw value to word."""


@dataclass(frozen=True, slots=True)
class LabelWords:
    """The label words, in order, and the word for each raw value."""

    words: tuple[str, ...]
    by_raw_value: Mapping[str, str]

    def word_for(self, value: Json, example: Example, column: str, *, where: str) -> str:
        """The word for a row's raw value. Raises InputError, with the row's line, if there is none."""
        key = raw_key(value)
        word = self.by_raw_value.get(key, self.by_raw_value.get(key.casefold())) if key else None
        if word is not None:
            return word
        raise InputError(
            f"the value of {column} is no label",
            where=str(example.origin),
            found=shorten(key) if key else json_kind(value),
            expected=", ".join(shorten(raw_value)[1:-1] for raw_value in list(self.by_raw_value)[:12]),
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
    label_spec: LabelSpec | None,
    default_words: Sequence[str],
    examples: Sequence[Example],
    column: str,
    *,
    where: str,
) -> LabelWords:
    """The labels of a task.

    Args:
        label_spec: the recipe's labels.
        default_words: the kind's labels, used if the recipe gives none and the column contains these words.
        examples: the task's rows.
        column: the label column.
        where: the task's place in the recipe.

    Raises:
        InputError: no labels are given and the column does not contain words; the error gives the line to write.
    """
    if isinstance(label_spec, Mapping):
        return LabelWords(tuple(dict.fromkeys(label_spec.values())), dict(label_spec))
    if label_spec is not None:
        words = tuple(label_spec)
        numbers = {str(index): word for index, word in enumerate(words)}
        return LabelWords(words, {**numbers, **_words_for_themselves(words)})
    values = list(dict.fromkeys(raw_key(row.fields.get(column)) for row in examples))
    if default_words:
        default_raw = _words_for_themselves(default_words)
        if any(value in default_raw or value.casefold() in default_raw for value in values):
            return LabelWords(tuple(default_words), default_raw)
    elif all(isinstance(row.fields.get(column), str) for row in examples) and len(values) <= MAX_LABELS:
        words = tuple(sorted(value for value in values if value))
        return LabelWords(words, {word: word for word in words})
    raise _unclear_labels_error(values, default_words, examples, column, where)


def _words_for_themselves(words: Sequence[str]) -> dict[str, str]:
    """Map each word, as written and in lower case, to itself; also true and false to yes and no."""
    by_raw = {**{word.casefold(): word for word in words}, **{word: word for word in words}}
    booleans = {"true": by_raw["yes"], "false": by_raw["no"]} if {"yes", "no"} <= set(by_raw) else {}
    return {**booleans, **by_raw}


def _unclear_labels_error(
    values: Sequence[str], default_words: Sequence[str], examples: Sequence[Example], column: str, where: str
) -> InputError:
    shown = sorted(value for value in values if value)[:8]
    words = [*default_words, *["..."] * len(shown)]
    pairs = ", ".join(f"{_yaml(value)}: {_yaml(word)}" for value, word in zip(shown, words, strict=False))
    remainder = "" if len(values) <= len(shown) else f" and {len(values) - len(shown)} more"
    return InputError(
        f"the values of {column} do not say in words what they mean",
        where=f"{examples[0].origin.file}, for {where}.labels",
        found=", ".join(shorten(value, 30) for value in shown) + remainder,
        expected=" or ".join(default_words)
        if default_words
        else f"at most {MAX_LABELS} different texts, or labels in the recipe",
        fix=f"write into the task  labels: {{{pairs}}}  and check which is which",
    )


def _yaml(text: str) -> str:
    needs_no_quotes = text.replace("-", "").replace("_", "").isalnum() and text.lower() not in (
        "yes",
        "no",
        "true",
        "false",
    )
    return text if needs_no_quotes or text == "..." else json.dumps(text, ensure_ascii=False)
