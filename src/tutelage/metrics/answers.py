"""Short answers: equal or not, SQuAD's exact match and token F1, MultiRC's two, BIG-bench Hard's extraction."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.answer_extraction import bbh as extract_bbh
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """SQuAD's normal form: lower case, no ASCII punctuation, no articles, single spaces.

    P. Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", 2016.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def token_overlap(prediction: str, reference: str) -> float:
    """SQuAD's F1 of two texts' tokens; with an empty side 1 when both are empty, else 0."""
    left, right = normalised(prediction).split(), normalised(reference).split()
    if not left or not right:
        return float(left == right)
    same = sum((Counter(left) & Counter(right)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)


def _exact(shared: ScoringBatch, _asked: MetricSpec) -> ItemStatistics:
    return _best(shared, lambda prediction, reference: float(prediction.strip() == reference.strip()))


def _squad_em(shared: ScoringBatch, _asked: MetricSpec) -> ItemStatistics:
    return _best(shared, lambda prediction, reference: float(normalised(prediction) == normalised(reference)))


def _token_f1(shared: ScoringBatch, _asked: MetricSpec) -> ItemStatistics:
    return _best(shared, token_overlap)


def _bbh(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    mode = str(spec.options["mode"])
    right = [
        extract_bbh(row.prediction, mode).answer in {own.strip() for own in row.references}
        for row in shared.rows
    ]
    return of_means(np.array(right, np.float64))


def _best(shared: ScoringBatch, score: Callable[[str, str], float]) -> ItemStatistics:
    """Each row's best over its references, 0 without any."""
    values = [max((score(row.prediction, own) for own in row.references), default=0.0) for row in shared.rows]
    return of_means(np.array(values, np.float64))


def _whole_questions(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """MultiRC's exact match: a question counts as right when every one of its options is."""
    first: dict[tuple[str, str], int] = {}
    right: dict[tuple[str, str], bool] = {}
    for index, row in enumerate(shared.rows):
        question = row.fields.get("question")
        if not isinstance(question, str | int) or isinstance(question, bool):
            raise InputError(
                f"{spec.text} needs to know which options belong to one question",
                where=f"row {index + 1}, field question",
                found=repr(question)[:80] if "question" in row.fields else "no such field",
                expected="the question, or its number",
            )
        key = (row.task, str(question))
        first.setdefault(key, index)
        own = row.prediction.strip() in {reference.strip() for reference in row.references}
        right[key] = right.get(key, True) and own
    values = np.array([right[key] for key in first], np.float64)
    return of_means(values, np.array(list(first.values()), np.int64))


exact = MetricImplementation(_exact)
squad_em = MetricImplementation(_squad_em)
token_f1 = MetricImplementation(_token_f1)
bbh = MetricImplementation(_bbh)
whole_questions = MetricImplementation(_whole_questions)
