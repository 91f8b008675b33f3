"""Correlations of predicted with true numbers: Pearson's r and Spearman's rank correlation. Equal to scipy's."""

from __future__ import annotations

import math

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import Groups
from tutelage.metrics.implementation import (
    Estimator,
    Floats,
    ItemStatistics,
    MetricImplementation,
    ScoringBatch,
)
from tutelage.metrics.stats.bootstrap import SumEstimator


def _count(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """A line is (true number, predicted number). `invalid` stands for a prediction that is no number."""
    lines = np.empty((len(shared.rows), 2))
    for index, row in enumerate(shared.rows):
        true = _number(row.references[0]) if len(row.references) == 1 else None
        if true is None:
            raise InputError(
                f"{spec.text} needs one true number a row",
                where=f"row {index + 1}",
                found=repr(list(row.references))[:80],
            )
        guessed = _number(row.prediction)
        if guessed is None and spec.options["invalid"] == "refuse":
            raise InputError(
                f"{spec.text} needs a number as prediction",
                where=f"row {index + 1}",
                found=repr(row.prediction)[:80],
                fix="give the number that stands for answers that are none, as T5 does: invalid=-1",
            )
        lines[index] = true, float(spec.options["invalid"]) if guessed is None else guessed
    return ItemStatistics(np.arange(len(lines)), np.full(len(lines), np.nan), lines)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _weigh_pearson(_asked: MetricSpec, lines: Floats) -> Estimator:
    # Taking the first away before the mean leaves exact zeros of a constant column.
    columns = lines - lines[:1]
    x, y = (columns - columns.mean(0)).T

    def value(sums: Floats) -> Floats:
        n, sx, sy, xx, yy, xy = sums.T
        return _correlation(xy - sx * sy / n, xx - sx * sx / n, yy - sy * sy / n, (xx, yy))

    return SumEstimator(value, np.stack((np.ones(len(x)), x, y, x * x, y * y, x * y), axis=1))


def _weigh_spearman(_asked: MetricSpec, lines: Floats) -> Estimator:
    ranks = [_Ranks(column) for column in lines.T]

    def value(weights: Floats) -> Floats:
        middle = (weights.sum(1, keepdims=True) + 1) / 2
        x, y = (own(weights) - middle for own in ranks)
        xx, yy = (weights * x * x).sum(1), (weights * y * y).sum(1)
        return _correlation((weights * x * y).sum(1), xx, yy, (xx, yy))

    return value


class _Ranks:
    """Ranks of one column under weights; equal values share the mean of theirs."""

    def __init__(self, column: Floats) -> None:
        different, self.place = np.unique(column, return_inverse=True)
        self.groups = Groups(self.place, len(different))

    def __call__(self, weights: Floats) -> Floats:
        own = self.groups.sums(weights)
        ranks: Floats = (np.cumsum(own, axis=1) - own + (own + 1) / 2)[:, self.place]
        return ranks


def _correlation(together: Floats, xx: Floats, yy: Floats, size: tuple[Floats, Floats]) -> Floats:
    """NaN where one side does not vary: what is left there is rounding."""
    known = (xx > 1e-12 * size[0]) & (yy > 1e-12 * size[1])
    r = np.divide(together, np.sqrt(xx) * np.sqrt(yy), out=np.full_like(xx, np.nan), where=known)
    bounded: Floats = np.clip(r, -1.0, 1.0)
    return bounded


pearson = MetricImplementation(_count, _weigh_pearson, scale="fisher")
spearman = MetricImplementation(_count, _weigh_spearman, scale="fisher")
