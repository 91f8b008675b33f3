"""The most likely of several choices, with log-probabilities as they are or normalised by length.

Read from a row's fields `choices` (texts) and `logprobs` (nats, summed over a choice's tokens), and `lengths` (tokens of each
choice) where they are divided by tokens. Sums favour short choices, means over characters, bytes or tokens long ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import equals_reference, field_error, log_probabilities, numbers
from tutelage.metrics.score import Row

BY: dict[str, Callable[[str], int]] = {
    "none": lambda _text: 1,
    "characters": len,
    "bytes": lambda text: len(text.encode()),
}
"""A choice's length by what its text alone shows; tokens are counted by whoever asked the model."""
_PROBLEM = "the choices cannot be compared"


def most_likely_choice(row: Row, by: str, *, where: str) -> str:
    """The choice with the largest log-probability divided by its length; the first of equals.

    Raises:
        InputError: the row's fields do not allow it; `where` names the row.
    """
    return likeliest_choices(row, by, where=where)[0]


def likeliest_choices(row: Row, by: str, *, where: str) -> list[str]:
    """All choices with the largest log-probability divided by their length: several where they are equal.

    Raises:
        InputError: as `most_likely_choice`.
    """
    choices, scores = _choices(row, by, where)
    largest = max(scores)
    return [choice for choice, score in zip(choices, scores, strict=True) if score == largest]


def expected_choice(row: Row, by: str, *, where: str) -> float:
    """The mean of numeric choices, each weighted by its probability among the choices.

    Raises:
        InputError: a choice is no number, or the row's fields do not allow it; `where` names the row.
    """
    choices, scores = _choices(row, by, where)
    try:
        values = np.array([float(choice) for choice in choices])
    except ValueError as error:
        raise _field_error("choices", row, where, "numbers, as `predict: expected` needs") from error
    weights = np.exp(np.array(scores) - max(scores))
    return float(weights @ values / weights.sum())


def _choices(row: Row, by: str, where: str) -> tuple[list[str], list[float]]:
    """The choices, and the log-probability of each divided by its length."""
    choices = row.fields.get("choices")
    if (
        not isinstance(choices, list)
        or not choices
        or not all(isinstance(choice, str) and choice for choice in choices)
    ):
        raise _field_error("choices", row, where, "a list of texts")
    logprobs = log_probabilities(_PROBLEM, row, where, count=len(choices))
    if by == "tokens":
        lengths = numbers(_PROBLEM, row, where, "lengths", count=len(choices)).tolist()
    else:
        lengths = [BY[by](str(choice)) for choice in choices]
    if min(lengths) <= 0:
        raise _field_error("lengths", row, where, "numbers above 0")
    scores = [logprob / length for logprob, length in zip(logprobs.tolist(), lengths, strict=True)]
    return list(map(str, choices)), scores


def _field_error(field: str, row: Row, where: str, expected: str) -> InputError:
    return field_error(_PROBLEM, row, where, field, expected)


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    by = str(spec.options["by"])
    right = [
        equals_reference(most_likely_choice(row, by, where=f"row {index + 1}"), row)
        for index, row in enumerate(batch.rows)
    ]
    return of_means(np.array(right, np.float64))


def _reference_share(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    shares = []
    for index, row in enumerate(batch.rows):
        choices, scores = _choices(row, "none", f"row {index + 1}")
        is_right = np.array([equals_reference(choice, row) for choice in choices])
        if not is_right.any():
            raise _field_error("choices", row, f"row {index + 1}", "a list of texts, a reference among them")
        weights = np.exp(np.array(scores) - max(scores))
        shares.append(float(weights[is_right].sum() / weights.sum()))
    return of_means(np.array(shares))


choice_accuracy = MetricImplementation(_count)
reference_probability = MetricImplementation(_reference_share)
