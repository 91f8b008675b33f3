"""What metrics read of a row, and the errors where it is missing or of the wrong type."""

from __future__ import annotations

import math

import numpy as np

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats


def equals_reference(text: str, row: Row) -> bool:
    """Whether a text is one of the row's references, space around them ignored."""
    return text.strip() in {reference.strip() for reference in row.references}


def single_reference(spec: MetricSpec, row: Row, index: int, *, expected: str) -> str:
    """The row's only reference, which is `expected`.

    Raises:
        InputError: it has none or several.
    """
    if len(row.references) != 1:
        raise InputError(
            f"{spec.text} needs one {expected} a row",
            where=f"row {index + 1}",
            found=f"{len(row.references)} references",
        )
    return row.references[0]


def require_reference(spec: MetricSpec, row: Row, index: int) -> None:
    """Raise an InputError when the row has no reference."""
    if not row.references:
        raise InputError(f"{spec.text} needs a reference", where=f"row {index + 1}", found="none")


def possible_labels(row: Row, index: int) -> list[str]:
    """The labels that the row's answer could be, from its field `labels`.

    Raises:
        InputError: there is no such field, or it holds no list of texts.
    """
    labels = row.fields.get("labels")
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        problem = "the answer cannot be checked against its labels"
        raise field_error(problem, row, f"row {index + 1}", "labels", "a list of texts")
    return [str(label).strip() for label in labels]


def number(spec: MetricSpec, row: Row, index: int, name: str, *, above: float = -math.inf) -> float:
    """A number in one of the row's fields.

    Raises:
        InputError: there is none, or it is not above `above`.
    """
    value = row.fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < math.inf:
        expected = "a number" if math.isinf(above) else f"a number above {above:g}"
        raise field_error(f"{spec.text} needs {name}", row, f"row {index + 1}", name, expected)
    return float(value)


def numbers(problem: str, row: Row, where: str, name: str, *, count: int | None = None) -> Floats:
    """A list of numbers, one a choice, in one of the row's fields, as float64 of shape (choices,).

    Args:
        problem: what cannot be done without them, for errors.
        row: the row.
        where: which row it is, for errors.
        name: the field.
        count: how many choices there are; None where the list itself says so.

    Raises:
        InputError: there is no such list, it has another length, or one of them is NaN.
    """
    values = row.fields.get(name)
    if (
        not isinstance(values, list)
        or not values
        or (count is not None and len(values) != count)
        or any(isinstance(value, bool) or not isinstance(value, int | float) for value in values)
        or np.isnan(np.array(values, np.float64)).any()
    ):
        expected = "numbers, one a choice" if count is None else f"{count} numbers, one a choice"
        raise field_error(problem, row, where, name, expected)
    return np.array(values, np.float64)


def log_probabilities(problem: str, row: Row, where: str, *, count: int | None = None) -> Floats:
    """The log-probabilities (nats) of the row's choices, from its field `logprobs`; arguments as of `numbers`.

    Raises:
        InputError: as `numbers`, or no choice is possible.
    """
    logprobs = numbers(problem, row, where, "logprobs", count=count)
    if not math.isfinite(logprobs.max()):
        expected = "log-probabilities, the largest of them finite"
        raise field_error(problem, row, where, "logprobs", expected)
    return logprobs


def field_error(problem: str, row: Row, where: str, name: str, expected: str) -> InputError:
    """The error that a field of a row is missing or not as expected."""
    return InputError(
        problem,
        where=f"{where}, field {name}",
        found=shorten(str(row.fields[name])) if name in row.fields else "no such field",
        expected=expected,
    )
