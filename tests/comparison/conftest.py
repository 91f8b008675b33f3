from __future__ import annotations

import pytest

from tutelage.comparison import PairedScores, TaskComparison
from tutelage.metrics import Row, score_rows
from tutelage.metrics.score import Score, ScoreDifference


@pytest.fixture
def measured():
    """Right and wrong answers of two models as something measured: lists of 0 and 1."""

    def make(base, tuned, *, parts=None, primary="accuracy", metrics=("accuracy", "rouge1")):
        return PairedScores(
            primary=primary,
            base=_scored(base, metrics),
            tuned=_scored(tuned, metrics),
            parts={} if parts is None else parts,
        )

    return make


def _scored(right, metrics):
    return score_rows(list(metrics), [Row("yes" if one else "no", ("yes",)) for one in right])


@pytest.fixture
def make_comparison():
    """An outcome with given numbers, already adjusted: what the rules read."""

    def make(name="probe", *, value, low, high, p=0.5, primary="accuracy", parts=None, base=0.5):
        sides = [
            Score(value=at, low=at - 0.1, high=at + 0.1, n=100, signature="s") for at in (base, base + value)
        ]
        return TaskComparison(
            name=name,
            primary=primary,
            base={primary: sides[0]},
            tuned={primary: sides[1]},
            difference={primary: ScoreDifference(value=value, low=low, high=high, n=100, p=p, p_adjusted=p)},
            parts={} if parts is None else parts,
        )

    return make
