"""Predictions to scores, alone or against another model's on the same items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.metrics import ItemScores, ScoreDifference, holm, paired_difference, score_rows
from tutelage.metrics.self_scores import shortfalls
from tutelage.scoring.predictions import Predictions
from tutelage.scoring.row_errors import at_line

Scores = Mapping[str, ItemScores]


@dataclass(frozen=True, slots=True)
class PredictionScores:
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
    """The scores of a file of predictions.

    Attributes:
        predictions: what was scored.
        side: its scores.
        against: the other model's scores, None when there is none.
        difference: by metric, `side` minus `against`; p_adjusted is Holm's over these metrics.
    """

    predictions: Predictions
    side: PredictionScores
    against: PredictionScores | None
    difference: Mapping[str, ScoreDifference]

    def as_json(self, *, per_item: bool = False) -> dict[str, Any]:
        """The document that `tutelage score --json` prints; `items` only with `per_item`, `notes` only where there are some."""
        document = self.side.as_json()
        if notes := self.notes():
            document["notes"] = notes
        if per_item:
            document["items"] = self.items()
        if self.against is not None:
            document["against"] = self.against.as_json()
            document["difference"] = {
                metric: difference.as_json() for metric, difference in self.difference.items()
            }
        return document

    def notes(self) -> list[str]:
        """What keeps the metrics from giving full marks to the file's own references, each with the first line."""
        metrics, rows = list(self.side.scores), self.predictions.rows
        return [
            f"{shortfall.sentence} (first line {self.predictions.lines[shortfall.rows[0]]})"
            for shortfall in shortfalls(metrics, rows)
        ]

    def items(self) -> list[dict[str, Any]]:
        """Each row's line, task and value by metric; None where a metric has no value for a row alone."""
        items: list[dict[str, Any]] = [
            {"line": line, "task": row.task, **dict.fromkeys(self.side.scores)}
            for line, row in zip(self.predictions.lines, self.predictions.rows, strict=True)
        ]
        for metric, scores in self.side.scores.items():
            for index, value in zip(scores.rows, scores.items.tolist(), strict=True):
                items[index][metric] = value if math.isfinite(value) else None
        return items


def score_predictions(
    metrics: Sequence[str], predictions: Predictions, *, against: Predictions | None = None, seed: int = 0
) -> Scorecard:
    """Score predictions, and compare them with another model's on the same items.

    Args:
        metrics: names, with options as `name:key=value`.
        predictions: the rows to score.
        against: the same items with another model's predictions.
        seed: of the draws of intervals and tests.

    Raises:
        InputError: a metric does not exist or cannot read a row, or the two files do not hold the same items.
    """
    if against is not None:
        _require_same_items(predictions, against)
    side = _model_scores(metrics, predictions, seed)
    if against is None:
        return Scorecard(predictions, side, None, {})
    other = _model_scores(metrics, against, seed)
    differences = {
        metric: paired_difference(other.scores[metric], scores, seed=seed)
        for metric, scores in side.scores.items()
    }
    p_values = holm([difference.p for difference in differences.values()])
    adjusted = {
        metric: replace(difference, p_adjusted=p)
        for (metric, difference), p in zip(differences.items(), p_values, strict=True)
    }
    return Scorecard(predictions, side, other, adjusted)


def _model_scores(metrics: Sequence[str], predictions: Predictions, seed: int) -> PredictionScores:
    rows = predictions.rows
    tasks = dict.fromkeys(row.task for row in rows)
    scores = _scores(metrics, predictions, range(len(rows)), seed)
    if set(tasks) == {""}:
        return PredictionScores(scores, {})
    indices = {task: [i for i, row in enumerate(rows) if row.task == task] for task in tasks}
    by_task = {task: _scores(metrics, predictions, indices[task], seed) for task in tasks}
    return PredictionScores(scores, by_task)


def _scores(metrics: Sequence[str], predictions: Predictions, indices: Sequence[int], seed: int) -> Scores:
    """The scores of some rows; a row that a metric cannot read is named by file and line."""
    try:
        return score_rows(metrics, [predictions.rows[index] for index in indices], seed=seed)
    except InputError as error:
        lines = [predictions.lines[index] for index in indices]
        raise at_line(error, predictions.shown, lines) from None


def _require_same_items(first: Predictions, second: Predictions) -> None:
    problem = "the two files do not hold the same items"
    expected = "the same items in the same order, with the two models' predictions"
    if len(first.rows) != len(second.rows):
        raise InputError(
            problem,
            where=second.shown,
            found=f"{len(second.rows)} rows, and {len(first.rows)} in {first.shown}",
            expected=expected,
            fix="write both models' answers to every item; an empty answer is a row too",
        )
    for row, other, line in zip(first.rows, second.rows, second.lines, strict=True):
        for name in ("task", "references", "cluster"):
            if getattr(row, name) != getattr(other, name):
                values = [shorten(str(getattr(side, name))) for side in (other, row)]
                raise InputError(
                    problem,
                    where=f"{second.shown}:{line}",
                    found=f"{name} {values[0]}, and {values[1]} in {first.shown}",
                    expected=expected,
                    fix="sort both files in the same order",
                )


def _as_json(scores: Scores) -> dict[str, Any]:
    return {metric: item_scores.score.as_json() for metric, item_scores in scores.items()}
