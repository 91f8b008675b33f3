"""The metrics of BIG-bench's JSON tasks, equal to those of its program (PyPI `bigbench` 1.0.0, `api/task_metrics.py`).

Metrics of choices read a row's fields `logprobs` (nats, summed over a choice's tokens) and `target_scores` (a number for each choice),
those of texts the prediction and all right answers. As in the program, some metrics first divide the choices' probabilities by their sum.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from tutelage.metrics import calibration
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import log_probabilities, numbers
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats

_PROBLEM = "BIG-bench's metrics cannot be computed"


def _choices(row: Row, index: int) -> tuple[Floats, Floats]:
    """The choices' log-probabilities, summing to a probability of 1, and their target scores."""
    from scipy.special import logsumexp

    where = f"row {index + 1}"
    logprobs = log_probabilities(_PROBLEM, row, where)
    scores = numbers(_PROBLEM, row, where, "target_scores", count=len(logprobs))
    return logprobs - logsumexp(logprobs), scores


def _largest(values: Floats) -> int:
    """The index of the largest value; among equal ones, one that the hash of all values picks."""
    places = np.flatnonzero(values == values.max())
    return int(places[int(hashlib.sha256(values.tobytes()).hexdigest(), 16) % len(places)])


def _probabilities(row: Row, index: int) -> tuple[Floats, Floats]:
    """The probability of each choice, and the one that the target scores give it."""
    logprobs, scores = _choices(row, index)
    total = scores.sum()
    weights = np.exp(logprobs - logprobs.max())
    return weights / weights.sum(), scores / total if total else np.zeros_like(scores)


def _count_grade(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    grades = []
    for index, row in enumerate(batch.rows):
        logprobs, scores = _choices(row, index)
        grades.append(scores[_largest(logprobs)])
    return of_means(np.array(grades, np.float64))


def _count_brier(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (the sum of its choices' squared distances, how many choices it has)."""
    statistics = []
    for index, row in enumerate(batch.rows):
        probabilities, targets = _probabilities(row, index)
        distances = targets * (probabilities - 1) ** 2 + (1 - targets) * probabilities**2
        statistics.append((float(distances.sum()), float(len(distances))))
    table = np.array(statistics)
    return ItemStatistics(np.arange(len(table)), table[:, 0] / table[:, 1], table)


def _count_confidence(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (the largest probability, whether the likeliest choice is the best one)."""
    pairs = []
    for index, row in enumerate(batch.rows):
        probabilities, targets = _probabilities(row, index)
        pairs.append((float(probabilities.max()), float(targets.argmax() == probabilities.argmax())))
    return ItemStatistics(np.arange(len(pairs)), np.full(len(pairs), np.nan), np.array(pairs))


def _count_nats(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (nats of all right answers together, 1)."""
    from scipy.special import logsumexp

    nats = [
        -float(logsumexp(log_probabilities(_PROBLEM, row, f"row {index + 1}")))
        for index, row in enumerate(batch.rows)
    ]
    statistics = np.stack([np.array(nats), np.ones(len(nats))], axis=1)
    return ItemStatistics(np.arange(len(nats)), statistics[:, 0].copy(), statistics)


def _of_texts(score: Callable[[str, Sequence[str]], float]) -> MetricImplementation:
    def count(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
        return of_means(np.array([score(row.prediction, row.references) for row in batch.rows], np.float64))

    return MetricImplementation(count)


def _equals_folded(prediction: str, references: Sequence[str]) -> float:
    return float(prediction.strip().lower() in [reference.strip().lower() for reference in references])


def _is_near(prediction: str, references: Sequence[str]) -> float:
    """Whether a number is within a tenth of the right one. As in the program, which divides by the number itself, all are near a negative one."""
    try:
        value, target = float(prediction), float(references[0])
    except (ValueError, IndexError):
        return 0.0
    error = abs(value - target) / (target if target != 0 else 1)
    return float(not math.isnan(error) and error <= 0.1)


def _sequence_share(prediction: str, references: Sequence[str]) -> float:
    """The share of the first right answer's words that stand in their places, times 100; missing words count as "O"."""
    words = references[0].split(" ") if references else []
    predicted = prediction.split(" ")[: len(words)]
    predicted += ["O"] * (len(words) - len(predicted))
    right = sum(word == answer for word, answer in zip(words, predicted, strict=True))
    return 100 * right / max(1, len(words))


multiple_choice_grade = MetricImplementation(_count_grade)
choice_brier = MetricImplementation(_count_brier)
choice_ece = MetricImplementation(
    _count_confidence, calibration.ece.estimator, scale="calibration", smooth=calibration.ece.smooth
)
target_nats = MetricImplementation(_count_nats, scale="log", large_value=10.0)
exact_str_match = _of_texts(lambda prediction, references: float(prediction in references))
case_insensitive_str_match = _of_texts(_equals_folded)
numeric_match = _of_texts(_is_near)
sequence_f1 = _of_texts(_sequence_share)
