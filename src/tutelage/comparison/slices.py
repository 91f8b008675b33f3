"""Scores of a task by the values of a column: for which topics, customers or languages it is better, and for which not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.core.types import Json
from tutelage.metrics import Score, ScoreDifference, holm, paired_difference, score_subset
from tutelage.results.evaluation import Evaluation

MAX_VALUES = 20
"""Values of a column that are scored: the most frequent ones."""
FEW = 20
"""A slice of fewer items is marked: its interval reaches more than 20 points to either side of one half."""
NO_VALUE = "(none)"
"""Stands for rows without a value."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The items with one value of a column: both models' scores by the primary metric and their difference."""

    value: str
    base: Score
    tuned: Score
    difference: ScoreDifference

    def as_json(self) -> dict[str, Any]:
        """As in results.json."""
        sides = {"base": self.base.as_json(), "tuned": self.tuned.as_json()}
        return {**sides, "difference": self.difference.as_json()}


@dataclass(frozen=True, slots=True)
class SlicedColumn:
    """A column's slices, the most frequent value first; `left_out` counts the items of rarer values and of those without a score."""

    column: str
    slices: tuple[Slice, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class SlicedTask:
    """A task's slices by column.

    Attributes:
        metric: the primary metric, by which all are scored.
        columns: the columns of the recipe's `slices`.
        tests: how many slices p is adjusted for.
    """

    metric: str
    columns: tuple[SlicedColumn, ...]
    tests: int

    def as_json(self) -> dict[str, Any]:
        """As in results.json, under `tasks.NAME.slices`."""
        return {
            "metric": self.metric,
            "tests": self.tests,
            "columns": {
                each.column: {
                    "values": {one.value: one.as_json() for one in each.slices},
                    "left_out": each.left_out,
                }
                for each in self.columns
            },
        }


def value_of(fields: Mapping[str, Json], column: str) -> str:
    """A row's value in a column as the name of its slice."""
    value = fields.get(column)
    if value is None or value == "":
        return NO_VALUE
    return str(value).lower() if isinstance(value, bool) else str(value)


def sliced(base: Evaluation, tuned: Evaluation, columns: Sequence[str], *, seed: int = 0) -> SlicedTask:
    """Score the items of each value of each column with both models.

    p is adjusted (Holm) over all slices of all columns. Intervals are not: of twenty slices one misses by chance.

    Args:
        base: the base's scored evaluation.
        tuned: the tuned model's, of the same items.
        columns: fields of the items.
        seed: for intervals and tests that draw random numbers.
    """
    metric = tuned.primary()
    assert metric is not None  # scored evaluations have one
    made = tuple(_column(base, tuned, metric, column, seed) for column in columns)
    adjusted = iter(holm([one.difference.p for each in made for one in each.slices]))
    with_p = tuple(
        replace(
            each,
            slices=tuple(
                replace(one, difference=replace(one.difference, p_adjusted=next(adjusted)))
                for one in each.slices
            ),
        )
        for each in made
    )
    return SlicedTask(metric, with_p, sum(len(each.slices) for each in with_p))


def _column(base: Evaluation, tuned: Evaluation, metric: str, column: str, seed: int) -> SlicedColumn:
    (before, before_ids), (after, after_ids) = base.item_scores()[metric], tuned.item_scores()[metric]
    fields = {item.id: item.fields for item in tuned.items()}
    at_base = {item_id: index for index, item_id in enumerate(before_ids)}
    by_value: dict[str, list[int]] = {}
    for index, item_id in enumerate(after_ids):
        if item_id in at_base:
            by_value.setdefault(value_of(fields[item_id], column), []).append(index)
    frequent = sorted(by_value.items(), key=lambda entry: -len(entry[1]))[:MAX_VALUES]
    slices = []
    for value, indices in frequent:
        sides = (
            score_subset(before, [at_base[after_ids[index]] for index in indices], seed=seed),
            score_subset(after, indices, seed=seed),
        )
        difference = paired_difference(
            *(replace(side, rows=tuple(range(len(indices)))) for side in sides), seed=seed
        )
        one = Slice(value, sides[0].score, sides[1].score, difference)
        if all(map(math.isfinite, _numbers(one))):
            slices.append(one)
    counted = sum(one.difference.n for one in slices)
    return SlicedColumn(column, tuple(slices), sum(map(len, by_value.values())) - counted)


def _numbers(one: Slice) -> list[float]:
    return [
        number
        for each in (one.base, one.tuned, one.difference)
        for number in (each.value, each.low, each.high)
    ]
