"""What metrics read of a row, and the errors where it is missing or of the wrong type."""

from __future__ import annotations

import math

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.score import Row


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
        problem = "whether the answer is a label cannot be told"
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


def field_error(problem: str, row: Row, where: str, name: str, expected: str) -> InputError:
    """The error that a field of a row is missing or not as expected."""
    return InputError(
        problem,
        where=f"{where}, field {name}",
        found=shorten(str(row.fields[name])) if name in row.fields else "no such field",
        expected=expected,
    )
