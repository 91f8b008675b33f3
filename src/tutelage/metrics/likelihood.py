"""How surprised a model is by a text: perplexity a token, bits a byte. Read from a row's further fields.

`logprob` is the reference's log-likelihood in nats, summed over its tokens; `tokens` is how many those are.
"""

from __future__ import annotations

import math

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import (
    ItemStatistics,
    MetricImplementation,
    ScoringBatch,
    of_sums,
    ratio,
)
from tutelage.metrics.row_fields import number
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats


def _count_tokens(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (nats, tokens)."""
    statistics = np.array(
        [
            (-number(spec, row, index, "logprob"), number(spec, row, index, "tokens", above=0))
            for index, row in enumerate(batch.rows)
        ]
    )
    return ItemStatistics(np.arange(len(statistics)), np.exp(statistics[:, 0] / statistics[:, 1]), statistics)


def _count_bytes(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (bits, bytes)."""
    statistics = np.array(
        [
            (-number(spec, row, index, "logprob") / math.log(2), _byte_count(spec, row, index))
            for index, row in enumerate(batch.rows)
        ]
    )
    return ItemStatistics(np.arange(len(statistics)), statistics[:, 0] / statistics[:, 1], statistics)


def _byte_count(spec: MetricSpec, row: Row, index: int) -> float:
    if "bytes" in row.fields:
        return number(spec, row, index, "bytes", above=0)
    size = len(row.references[0].encode("utf-8", "surrogatepass")) if row.references else 0
    if not size:
        raise InputError(
            "bits a byte need a text of at least one byte",
            where=f"row {index + 1}",
            found="an empty reference",
        )
    return float(size)


def _exponential_of_ratio(sums: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.exp(ratio(sums))


perplexity = MetricImplementation(_count_tokens, of_sums(_exponential_of_ratio), scale="log")
bits_per_byte = MetricImplementation(_count_bytes, scale="log")
