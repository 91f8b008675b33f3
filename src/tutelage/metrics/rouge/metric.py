"""ROUGE as metrics: the variants of one call that share their options are computed together."""

from __future__ import annotations

from typing import Any

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.rouge.corpus import rouge as corpus_rouge

_COLUMNS = {"precision": 0, "recall": 1, "f": 2}


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """One ROUGE variant; `measure` chooses precision, recall or F."""
    options = _without_measure(spec)
    key = ("rouge", *sorted(options.items()))
    if key not in batch.cache:
        variants = [
            other.entry.name
            for other in batch.specs
            if other.entry.implementation == "rouge" and _without_measure(other) == options
        ]
        batch.cache[key] = corpus_rouge(
            [row.prediction for row in batch.rows],
            [row.references for row in batch.rows],
            list(dict.fromkeys([spec.entry.name, *variants])),
            stemmer=options["stemmer"],
            tokenizer=options["tokenizer"],
            merge=options["references"],
        )
    values = batch.cache[key][spec.entry.name]
    return of_means(values[:, _COLUMNS[str(spec.options["measure"])]].copy())


def _without_measure(spec: MetricSpec) -> dict[str, Any]:
    return {key: value for key, value in spec.options.items() if key != "measure"}


rouge = MetricImplementation(_count)
