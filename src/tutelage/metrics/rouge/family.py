"""ROUGE as metrics: the variants of one call that share their options are computed together."""

from __future__ import annotations

from typing import Any

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import (
    ItemStatistics,
    MetricImplementation,
    ScoringBatch,
    of_means,
    same_options,
)
from tutelage.metrics.rouge.corpus import rouge as corpus_rouge

_COLUMNS = {"precision": 0, "recall": 1, "f": 2}


def _count(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """One ROUGE variant; `measure` says which of precision, recall and F."""
    options: dict[str, Any] = {key: value for key, value in spec.options.items() if key != "measure"}
    key = ("rouge", *sorted(options.items()))
    if key not in shared.made:
        together = [
            other.entry.name
            for other in shared.spec
            if other.entry.implementation == "rouge"
            and same_options(other.options, spec.options, but="measure")
        ]
        shared.made[key] = corpus_rouge(
            [row.prediction for row in shared.rows],
            [row.references for row in shared.rows],
            list(dict.fromkeys([spec.entry.name, *together])),
            stemmer=options["stemmer"],
            tokenizer=options["tokenizer"],
            merge=options["references"],
        )
    values = shared.made[key][spec.entry.name]
    return of_means(values[:, _COLUMNS[str(spec.options["measure"])]].copy())


rouge = MetricImplementation(_count)
