"""Whether an answer is one of the labels that it could be, right or wrong."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import field_error
from tutelage.metrics.score import Row


def _count(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    valid = [row.prediction.strip() in _labels(row, index) for index, row in enumerate(batch.rows)]
    return of_means(np.array(valid, np.float64))


def _labels(row: Row, index: int) -> list[str]:
    labels = row.fields.get("labels")
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise field_error(
            "whether the answer is a label cannot be told",
            row,
            f"row {index + 1}",
            "labels",
            "a list of texts",
        )
    return [str(label).strip() for label in labels]


valid_label = MetricImplementation(_count)
