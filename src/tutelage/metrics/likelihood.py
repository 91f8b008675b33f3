"""How surprised a model is by a text: perplexity a token, bits a byte. Read from a row's further fields.

`logprob` is the reference's log-likelihood in nats, summed over its tokens; `tokens` is how many those are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import (
    Floats,
    ItemStatistics,
    MetricImplementation,
    ScoringBatch,
    of_sums,
    ratio,
)
from tutelage.metrics.score import Row


def _count_tokens(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    lines = [
        (-_number(row, index, spec, "logprob"), _positive(row, index, spec, "tokens"))
        for index, row in enumerate(shared.rows)
    ]
    return _counted(lines, np.exp)


def _count_bytes(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    lines = [
        (-_number(row, index, spec, "logprob") / math.log(2), _bytes(row, index, spec))
        for index, row in enumerate(shared.rows)
    ]
    return _counted(lines, lambda values: values)


def _counted(lines: list[tuple[float, float]], of: Callable[[Floats], Floats]) -> ItemStatistics:
    table = np.array(lines, np.float64)
    return ItemStatistics(np.arange(len(table)), of(table[:, 0] / table[:, 1]), table)


def _number(row: Row, index: int, spec: MetricSpec, name: str) -> float:
    told = row.fields.get(name)
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told):
        found = repr(told)[:80] if name in row.fields else "no such field"
        raise InputError(
            f"{spec.text} needs {name}",
            where=f"row {index + 1}, field {name}",
            found=found,
            expected="a number",
        )
    return float(told)


def _positive(row: Row, index: int, spec: MetricSpec, name: str) -> float:
    number = _number(row, index, spec, name)
    if number <= 0:
        raise InputError(f"{name} is above 0", where=f"row {index + 1}, field {name}", found=f"{number:g}")
    return number


def _bytes(row: Row, index: int, spec: MetricSpec) -> float:
    if "bytes" in row.fields:
        return _positive(row, index, spec, "bytes")
    size = len(row.references[0].encode("utf-8", "surrogatepass")) if row.references else 0
    if not size:
        raise InputError(
            "bits a byte need a text of at least one byte",
            where=f"row {index + 1}",
            found="an empty reference",
        )
    return float(size)


def _exponential(sums: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.exp(ratio(sums))


perplexity = MetricImplementation(_count_tokens, of_sums(_exponential), scale="log")
bits_per_byte = MetricImplementation(_count_bytes, scale="log")
