"""The likeliest of several choices, by what their log-probabilities are divided by.

Read from a row's fields `choices` (texts) and `logprobs` (nats, summed over a choice's tokens), and `lengths` (tokens of each
choice) where they are divided by tokens. Sums favour short choices, means over characters, bytes or tokens long ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.score import Row

BY: dict[str, Callable[[str], int]] = {
    "none": lambda _text: 1,
    "characters": len,
    "bytes": lambda text: len(text.encode()),
}
"""A choice's length in what its text alone tells; tokens are counted by who asked the model."""


def most_likely_choice(row: Row, by: str, *, where: str) -> str:
    """The choice of the largest log-probability divided by its length; the first of equals.

    Raises:
        InputError: the row's fields do not say so; `where` names the row.
    """
    choices = row.fields.get("choices")
    if (
        not isinstance(choices, list)
        or not choices
        or not all(isinstance(one, str) and one for one in choices)
    ):
        raise _no("choices", row, where, "a list of texts")
    sums = _numbers(row, "logprobs", len(choices), where)
    sizes = (
        _numbers(row, "lengths", len(choices), where)
        if by == "tokens"
        else [BY[by](str(one)) for one in choices]
    )
    if min(sizes) <= 0:
        raise _no("lengths", row, where, "numbers above 0")
    means = [value / size for value, size in zip(sums, sizes, strict=True)]
    return str(choices[max(range(len(means)), key=means.__getitem__)])


def _numbers(row: Row, field: str, count: int, where: str) -> list[float]:
    told = row.fields.get(field)
    if isinstance(told, list) and len(told) == count:
        found = [
            float(one)
            for one in told
            if isinstance(one, int | float) and not isinstance(one, bool) and not math.isnan(one)
        ]
        if len(found) == count:
            return found
    raise _no(field, row, where, f"{count} numbers, one a choice")


def _no(field: str, row: Row, where: str, expected: str) -> InputError:
    return InputError(
        "the likeliest choice cannot be told",
        where=f"{where}, field {field}",
        found=shorten(str(row.fields[field])) if field in row.fields else "no such field",
        expected=expected,
    )


def _count(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    by = str(spec.options["by"])
    right = [
        most_likely_choice(row, by, where=f"row {index + 1}").strip()
        in {own.strip() for own in row.references}
        for index, row in enumerate(shared.rows)
    ]
    return of_means(np.array(right, np.float64))


choice_accuracy = MetricImplementation(_count)
