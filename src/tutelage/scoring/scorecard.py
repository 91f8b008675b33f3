"""Predictions to scores, alone or against another model's on the same items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.metrics import ScoreDifference, ItemScores, Row, holm, paired_difference, score_rows
from tutelage.scoring.predictions import Predictions

Scores = Mapping[str, ItemScores]


@dataclass(frozen=True, slots=True)
class Side:
    """One model's scores, by metric: over all rows, and by task when rows name tasks."""

    scores: Scores
    by_task: Mapping[str, Scores]

    def as_json(self) -> dict[str, Any]:
        """`scores` and `by_task`, each score with value, low, high, n, signature."""
        return {
            "scores": _as_json(self.scores),
            "by_task": {task: _as_json(scores) for task, scores in self.by_task.items()},
        }


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What `score` found.

    Attributes:
        predictions: what was scored.
        side: its scores.
        against: the other model's scores, None when there is none.
        difference: by metric, `side` minus `against`; p_adjusted is Holm's over the metrics asked for.
    """

    predictions: Predictions
    side: Side
    against: Side | None
    difference: Mapping[str, ScoreDifference]

    def as_json(self, *, per_item: bool = False) -> dict[str, Any]:
        """The document that `tutelage score --json` prints; `items` only when they are asked for."""
        told = self.side.as_json()
        if per_item:
            told["items"] = self.items()
        if self.against is not None:
            told["against"] = self.against.as_json()
            told["difference"] = {metric: one.as_json() for metric, one in self.difference.items()}
        return told

    def items(self) -> list[dict[str, Any]]:
        """Each row's line, task and own value by metric; None where a metric has no value for one row alone."""
        found: list[dict[str, Any]] = [
            {"line": line, "task": row.task, **dict.fromkeys(self.side.scores)}
            for line, row in zip(self.predictions.lines, self.predictions.rows, strict=True)
        ]
        for metric, scored in self.side.scores.items():
            for index, value in zip(scored.rows, scored.items.tolist(), strict=True):
                found[index][metric] = value if math.isfinite(value) else None
        return found


def score(
    metrics: Sequence[str], predictions: Predictions, *, against: Predictions | None = None, seed: int = 0
) -> Scorecard:
    """Score predictions, and compare them with another model's on the same items.

    Args:
        metrics: names, with options as `name:key=value`.
        predictions: the rows to score.
        against: the same items with another model's predictions.
        seed: of the draws of intervals and tests.

    Raises:
        InputError: a metric is not known or cannot read a row, or the two files do not hold the same items.
    """
    if against is not None:
        _require_same_items(predictions, against)
    side = _side(metrics, predictions, seed)
    if against is None:
        return Scorecard(predictions, side, None, {})
    other = _side(metrics, against, seed)
    found = {
        metric: paired_difference(other.scores[metric], scored, seed=seed)
        for metric, scored in side.scores.items()
    }
    p = holm([one.p for one in found.values()])
    difference = {
        metric: replace(one, p_adjusted=own) for (metric, one), own in zip(found.items(), p, strict=True)
    }
    return Scorecard(predictions, side, other, difference)


def _side(metrics: Sequence[str], predictions: Predictions, seed: int) -> Side:
    rows = predictions.rows
    tasks = dict.fromkeys(row.task for row in rows)
    scores = _scored(metrics, predictions, range(len(rows)), seed)
    if set(tasks) == {""}:
        return Side(scores, {})
    places = {task: [i for i, row in enumerate(rows) if row.task == task] for task in tasks}
    return Side(scores, {task: _scored(metrics, predictions, at, seed) for task, at in places.items()})


def _scored(metrics: Sequence[str], predictions: Predictions, at: Sequence[int], seed: int) -> Scores:
    """The scores of some rows; a row that a metric cannot read is named by file and line."""
    try:
        return score_rows(metrics, [predictions.rows[index] for index in at], seed=seed)
    except InputError as error:
        raise _at_line(error, predictions, at) from None


def _at_line(error: InputError, predictions: Predictions, at: Sequence[int]) -> InputError:
    head, _, field = (error.where or "").partition(", ")
    if not (head.startswith("row ") and head[4:].isdecimal()):
        return error
    line = predictions.lines[at[int(head[4:]) - 1]]
    return InputError(
        error.problem,
        where=f"{predictions.shown}:{line}" + (f", {field}" if field else ""),
        found=error.found,
        expected=error.expected,
        fix=error.fix,
    )


def _require_same_items(first: Predictions, second: Predictions) -> None:
    if len(first.rows) != len(second.rows):
        raise InputError(
            "the two files do not hold the same items",
            where=second.shown,
            found=f"{len(second.rows)} rows, and {len(first.rows)} in {first.shown}",
            expected="the same items in the same order, with the two models' predictions",
            fix="write both models' answers to every item; an empty answer is a row too",
        )
    for one, other, line in zip(first.rows, second.rows, second.lines, strict=True):
        for name in ("task", "references", "cluster"):
            if getattr(one, name) != getattr(other, name):
                raise _other_item(name, one, other, f"{second.shown}:{line}", first.shown)


def _other_item(name: str, one: Row, other: Row, where: str, shown: str) -> InputError:
    return InputError(
        "the two files do not hold the same items",
        where=where,
        found=f"{name} {shorten(str(getattr(other, name)))}, and {shorten(str(getattr(one, name)))} in {shown}",
        expected="the same items in the same order, with the two models' predictions",
        fix="sort both files alike",
    )


def _as_json(scores: Scores) -> dict[str, Any]:
    return {metric: scored.score.as_json() for metric, scored in scores.items()}
