"""Short answers: equal or not, SQuAD's exact match and token F1, MultiRC's two, BIG-bench Hard's extraction."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable

import numpy as np

from tutelage.metrics.answer_extraction import extract_bbh
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import equals_reference, field_error

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_squad(text: str) -> str:
    """SQuAD's normal form: lower case, no ASCII punctuation, no articles, single spaces.

    P. Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", 2016.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _token_f1(prediction: str, reference: str) -> float:
    """SQuAD's F1 of two texts' tokens; with an empty side 1 when both are empty, else 0."""
    predicted, expected = normalise_squad(prediction).split(), normalise_squad(reference).split()
    if not predicted or not expected:
        return float(predicted == expected)
    matches = sum((Counter(predicted) & Counter(expected)).values())
    if matches == 0:
        return 0.0
    precision, recall = matches / len(predicted), matches / len(expected)
    return 2 * precision * recall / (precision + recall)


def _best_over_references(score: Callable[[str, str], float]) -> MetricImplementation:
    """The mean of each row's best score over its references, 0 without any."""

    def count(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
        values = [
            max((score(row.prediction, reference) for reference in row.references), default=0.0)
            for row in batch.rows
        ]
        return of_means(np.array(values, np.float64))

    return MetricImplementation(count)


def _count_bbh(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    mode = str(spec.options["mode"])
    right = [equals_reference(extract_bbh(row.prediction, mode).answer, row) for row in batch.rows]
    return of_means(np.array(right, np.float64))


def _count_questions(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """MultiRC's exact match: a question counts as right when every one of its options is."""
    first_row: dict[tuple[str, str], int] = {}
    right: dict[tuple[str, str], bool] = {}
    for index, row in enumerate(batch.rows):
        question = row.fields.get("question")
        if not isinstance(question, str | int) or isinstance(question, bool):
            problem = f"{spec.text} needs to know which options belong to one question"
            raise field_error(problem, row, f"row {index + 1}", "question", "the question, or its number")
        key = (row.task, str(question))
        first_row.setdefault(key, index)
        right[key] = right.get(key, True) and equals_reference(row.prediction, row)
    values = np.array([right[key] for key in first_row], np.float64)
    return of_means(values, np.array(list(first_row.values()), np.int64))


exact = _best_over_references(lambda prediction, reference: float(prediction.strip() == reference.strip()))
squad_em = _best_over_references(
    lambda prediction, reference: float(normalise_squad(prediction) == normalise_squad(reference))
)
token_f1 = _best_over_references(_token_f1)
bbh = MetricImplementation(_count_bbh)
whole_questions = MetricImplementation(_count_questions)
