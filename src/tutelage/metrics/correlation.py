"""Correlations of predicted with true numbers: Pearson's r and Spearman's rank correlation. Equal to scipy's."""

from __future__ import annotations

import math

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import GroupSums
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.estimators import Estimator, SumEstimator


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """The statistics of an item are (true number, predicted number); `invalid` replaces predictions that are no number."""
    pairs = np.empty((len(batch.rows), 2))
    for index, row in enumerate(batch.rows):
        true = _number(row.references[0]) if len(row.references) == 1 else None
        if true is None:
            raise InputError(
                f"{spec.text} needs one true number a row",
                where=f"row {index + 1}",
                found=repr(list(row.references))[:80],
            )
        predicted = _number(row.prediction)
        if predicted is None and spec.options["invalid"] == "refuse":
            raise InputError(
                f"{spec.text} needs a number as prediction",
                where=f"row {index + 1}",
                found=repr(row.prediction)[:80],
                fix="give the number that stands for answers that are none, as T5 does: invalid=-1",
            )
        pairs[index] = true, float(spec.options["invalid"]) if predicted is None else predicted
    is_set = spec.options["constant"] != "undefined"
    note = f"constant:{_of_constant(spec):g}" if is_set else ""
    return ItemStatistics(np.arange(len(pairs)), np.full(len(pairs), np.nan), pairs, note)


def _of_constant(spec: MetricSpec) -> float:
    value = spec.options["constant"]
    return math.nan if value == "undefined" else float(value)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _pearson(spec: MetricSpec, statistics: Floats) -> Estimator:
    # Subtracting the first row before the mean leaves exact zeros of a constant column.
    shifted = statistics - statistics[:1]
    x, y = (shifted - shifted.mean(0)).T

    def combine(sums: Floats) -> Floats:
        n, sx, sy, xx, yy, xy = sums.T
        return _correlation(spec, xy - sx * sy / n, xx - sx * sx / n, yy - sy * sy / n, (xx, yy))

    return SumEstimator(combine, np.stack((np.ones(len(x)), x, y, x * x, y * y, x * y), axis=1))


def _spearman(spec: MetricSpec, statistics: Floats) -> Estimator:
    ranks = [_Ranks(column) for column in statistics.T]

    def value(weights: Floats) -> Floats:
        middle = (weights.sum(1, keepdims=True) + 1) / 2
        x, y = (column(weights) - middle for column in ranks)
        xx, yy = (weights * x * x).sum(1), (weights * y * y).sum(1)
        return _correlation(spec, (weights * x * y).sum(1), xx, yy, (xx, yy))

    return value


class _Ranks:
    """Ranks of one column under weights; equal values share the mean of theirs."""

    def __init__(self, column: Floats) -> None:
        distinct, self.groups = np.unique(column, return_inverse=True)
        self.sums = GroupSums(self.groups, len(distinct))

    def __call__(self, weights: Floats) -> Floats:
        sizes = self.sums(weights)
        ranks: Floats = (np.cumsum(sizes, axis=1) - sizes + (sizes + 1) / 2)[:, self.groups]
        return ranks


def _correlation(
    spec: MetricSpec, xy: Floats, xx: Floats, yy: Floats, magnitudes: tuple[Floats, Floats]
) -> Floats:
    """The correlation from centred sums of products; where one side does not vary the option `constant`, or NaN.

    What remains of a constant side is rounding, far below the magnitude of the sums it was computed from.
    """
    varies = (xx > 1e-12 * magnitudes[0]) & (yy > 1e-12 * magnitudes[1])
    r = np.divide(xy, np.sqrt(xx) * np.sqrt(yy), out=np.full_like(xx, _of_constant(spec)), where=varies)
    bounded: Floats = np.clip(r, -1.0, 1.0)
    return bounded


pearson = MetricImplementation(_count, _pearson, scale="fisher")
spearman = MetricImplementation(_count, _spearman, scale="fisher")
