"""Scores of a task that is asked in all wordings of its kind: by wording, and which wording is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tutelage.core.types import Prompted
from tutelage.metrics import ItemScores, Row, score_rows
from tutelage.prepare.encoding import Questions

ScoresByWording = dict[str, Mapping[str, ItemScores]]


def wording_of(row: Prompted) -> str:
    """The name of a row's wording, without that of its kind."""
    return row.template.rpartition("/")[2]


def by_wording(metrics: Sequence[str], questions: Questions, rows: Sequence[Row]) -> ScoresByWording:
    """Score the answers of each wording.

    Args:
        metrics: the task's metrics.
        questions: the questions in all wordings.
        rows: their answers, in the same order.

    Returns:
        By wording, in the order of the kind, the scores by metric; `rows` are indices into the wording's answers.
    """
    answers: dict[str, list[Row]] = {}
    for (row, _), answer in zip(questions, rows, strict=True):
        answers.setdefault(wording_of(row), []).append(answer)
    return {wording: score_rows(metrics, of_wording) for wording, of_wording in answers.items()}


def best(scores: ScoresByWording, primary: str) -> str:
    """The wording with the best value of the primary metric; of equal ones the first (Wei et al. 2022, section 3)."""

    def goodness(wording: str) -> float:
        scored = scores[wording][primary]
        value = scored.score.value if scored.higher_is_better else -scored.score.value
        return -math.inf if math.isnan(value) else value

    return max(scores, key=goodness)


def ids_of_first(questions: Questions) -> list[str]:
    """The ids of the first wording's questions: one for each row."""
    first = wording_of(questions[0][0])
    return [request.id for row, request in questions if wording_of(row) == first]
