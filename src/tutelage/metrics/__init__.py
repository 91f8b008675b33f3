"""Predictions and references in, scores with intervals out."""

from tutelage.metrics.catalogue import OF_TEXTS, check_primary, check_scores_answers, expand, metric_names
from tutelage.metrics.paired_difference import paired_difference
from tutelage.metrics.score import ItemScores, Row, Score, ScoreDifference
from tutelage.metrics.scoring import check_rows, score_rows, score_subset
from tutelage.metrics.stats.multiple_testing import holm

__all__ = [
    "OF_TEXTS",
    "ItemScores",
    "Row",
    "Score",
    "ScoreDifference",
    "check_primary",
    "check_rows",
    "check_scores_answers",
    "expand",
    "holm",
    "metric_names",
    "paired_difference",
    "score_rows",
    "score_subset",
]
