"""How long answers are: their words, and their words over those of the references."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch
from tutelage.metrics.row_fields import require_reference


def _count_ratio(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (words of the prediction, mean words of its references)."""
    for index, row in enumerate(batch.rows):
        require_reference(spec, row, index)
    return _ratio_of_sums(
        batch, [float(np.mean([len(text.split()) for text in row.references])) for row in batch.rows]
    )


def _count_words(batch: ScoringBatch, _spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (words of the prediction, 1)."""
    return _ratio_of_sums(batch, [1.0] * len(batch.rows))


def _ratio_of_sums(batch: ScoringBatch, denominators: list[float]) -> ItemStatistics:
    words = [len(row.prediction.split()) for row in batch.rows]
    statistics = np.stack((words, denominators), axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        items = statistics[:, 0] / statistics[:, 1]
    items[~np.isfinite(items)] = np.nan  # an empty reference has no ratio of its own
    return ItemStatistics(np.arange(len(words)), items, statistics)


length_ratio = MetricImplementation(_count_ratio, scale="log")
answer_length = MetricImplementation(_count_words, scale="log")
