"""Checks the columns by whose values a task is sliced, before a model answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tutelage.comparison.slices import value_of
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Prompted


def check_slices(task: Task, test: Sequence[Prompted], where: str) -> None:
    """Check that the test rows have the columns of `slices`, and that their values come more than once.

    Raises:
        InputError: a column is missing, holds no plain values, or each row has another one; InputErrors for several.
    """
    if test:
        raise_all(
            where,
            [
                error
                for index, name in enumerate(task.slices)
                for error in _errors(name, test, f"{where}.slices.{index}")
            ],
        )


def _errors(column: str, test: Sequence[Prompted], where: str) -> Iterator[InputError]:
    names = list(dict.fromkeys(name for row in test for name in row.fields))
    if column not in names:
        yield InputError(
            "no test row has the column to slice by",
            where=where,
            found=column,
            expected=f"one of {', '.join(map(shorten, names[:20]))}" if names else "rows with columns",
            fix=did_you_mean(column, names) or f"name one of these, or remove {column} from slices",
        )
        return
    for row in test:
        if isinstance(row.fields.get(column), list | dict):
            yield InputError(
                "rows are sliced by texts, numbers or booleans",
                where=where,
                found=f"{column} in {row.origin}: {shorten(str(row.fields[column]))}",
                expected="a column of plain values",
                fix=f"slice by another column, or remove {column} from slices",
            )
            return
    counts = Counter(value_of(row.fields, column) for row in test)
    if len(test) > 1 and counts.most_common(1)[0][1] == 1:
        yield InputError(
            "every test row has another value, so no slice has two of them",
            where=where,
            found=f"{column}: {', '.join(map(shorten, list(counts)[:3]))}, ...",
            expected="a column whose values come more than once, such as a topic",
            fix=f"slice by another column, or remove {column} from slices",
        )
