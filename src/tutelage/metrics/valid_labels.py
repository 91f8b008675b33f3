"""Whether an answer is one of its possible labels, right or wrong."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import possible_labels


def _count(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    valid = [row.prediction.strip() in possible_labels(row, index) for index, row in enumerate(batch.rows)]
    return of_means(np.array(valid, np.float64))


valid_label = MetricImplementation(_count)
