"""The interval of a mean over tasks holds the true mean about as often as it says, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tutelage.benchmarks.task_scores import ScoredTask, mean_task_score
from tutelage.metrics import Row, ScoreDifference, score_rows
from tutelage.metrics.paired_difference import paired_difference

METRICS = ("accuracy", "f1:average=binary:positive=a", "mcc", "accuracy")
SHARE_OF_A = 0.4
WORLDS = 200


def draw(rng, right, count, labels=None):
    """The rows of four tasks whose answers are right with these probabilities, and the true labels."""
    labels = rng.random((len(right), count)) < SHARE_OF_A if labels is None else labels
    hits = rng.random(labels.shape) < np.array(right)[:, None]
    rows = [
        Row("a" if is_a == hit else "b", ("a" if is_a else "b",), task=f"task {task}")
        for task in range(len(right))
        for is_a, hit in zip(labels[task], hits[task], strict=True)
    ]
    return rows, labels


def mean_score(rows):
    tasks = []
    for number, metric in enumerate(METRICS):
        indices = [index for index, row in enumerate(rows) if row.task == f"task {number}"]
        scores = score_rows([metric], [rows[index] for index in indices])[metric]
        tasks.append(ScoredTask([scores], indices, f"task {number}"))
    return mean_task_score(tasks, rows)


def truth(right):
    values = []
    for metric, p in zip(METRICS, right, strict=True):
        hit, missed = SHARE_OF_A * p, SHARE_OF_A * (1 - p)
        false, rejected = (1 - SHARE_OF_A) * (1 - p), (1 - SHARE_OF_A) * p
        margins = (hit + false) * (hit + missed) * (rejected + false) * (rejected + missed)
        values.append(
            {
                "accuracy": p,
                "f1": 2 * hit / (2 * hit + false + missed),
                "mcc": (hit * rejected - false * missed) / math.sqrt(margins),
            }[metric.partition(":")[0]]
        )
    return float(np.mean(values))


@pytest.mark.long
@pytest.mark.parametrize("count", [30, 100])
def test_the_interval_covers_the_true_mean(count):
    """200 worlds hold it 180 times or more but in one of 100 draws, where 94 % is the truth (binomial); the seed is fixed."""
    rng = np.random.default_rng(count)
    held = 0
    for _ in range(WORLDS):
        right = rng.uniform(0.1, 0.95, len(METRICS))
        score = mean_score(draw(rng, right, count)[0]).score
        held += score.low <= truth(right) <= score.high
    assert held >= 0.9 * WORLDS


@pytest.mark.long
def test_the_interval_of_a_difference_covers_none_where_there_is_none():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(WORLDS):
        right = rng.uniform(0.1, 0.95, len(METRICS))
        base, labels = draw(rng, right, 30)
        tuned, _ = draw(rng, right, 30, labels)
        difference: ScoreDifference = paired_difference(mean_score(base), mean_score(tuned), trials=200)
        held += difference.low <= 0 <= difference.high
    assert held >= 0.9 * WORLDS
