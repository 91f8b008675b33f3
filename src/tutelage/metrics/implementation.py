"""What a metric consists of: rows to statistics of each item, and statistics to a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats, Ints
from tutelage.metrics.stats.estimators import Estimator, SumEstimator


@dataclass(frozen=True, slots=True, eq=False)
class ItemStatistics:
    """The sufficient statistics of a metric, item by item.

    Attributes:
        rows: for each counted item the index of its row, int64 of shape (n,).
        items: the metric on each item alone, float64 of shape (n,), NaN where it has none.
        statistics: all that the value depends on, float64 of shape (n, k), one row an item.
        note: what the metric adds to the signature, such as the program or the encoder that it calls.
    """

    rows: Ints
    items: Floats
    statistics: Floats
    note: str = ""


@dataclass(slots=True)
class ScoringBatch:
    """The rows of one scoring call and its metrics, with a cache that lets them share tokenised texts."""

    rows: Sequence[Row]
    specs: Sequence[MetricSpec]
    cache: dict[Any, Any] = field(default_factory=dict)


def ratio(sums: Floats) -> Floats:
    """First sum over the second, (b, 2) to (b,); NaN where there is nothing to divide by."""
    numerator, denominator = sums[..., 0], sums[..., 1]
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator != 0)


def of_sums(combine: Callable[[Floats], Floats]) -> Callable[[MetricSpec, Floats], Estimator]:
    """The `estimator` of a metric that is a function of the summed statistics."""
    return lambda _spec, statistics: SumEstimator(combine, statistics)


_ratio_of_sums = of_sums(ratio)


@dataclass(frozen=True, slots=True, eq=False)
class PseudoItems:
    """Made-up items of each class, so that a class of few items that are all equal does not look certain.

    Attributes:
        wrong, right: the statistics of a wrong and of a right item of each class, float64 of shape (classes, k).
        classes: the class of each observed row of statistics, int64 of shape (m,); None when a row has several.
    """

    wrong: Floats
    right: Floats
    classes: Ints | None = None


@dataclass(frozen=True, slots=True)
class MetricImplementation:
    """How one or several metrics are computed.

    Attributes:
        count: rows to statistics.
        estimator: statistics, float64 of shape (m, k), to the metric as a function of their weights. A value, its
            interval and its test all go through it.
        scale: where an interval is symmetric up to its range: on the metric's own scale (`range`), on that of its
            logarithm, or on that of Fisher's z.
        pseudo_items: made-up items of each class for given statistics; None when the metric has no classes.
        effective_items: on how many of n items the value rests.
        large_value: a large value of an item, for metrics without an upper bound.
        smooth: whether one item more or less changes the value by little, as the jackknife needs it.
    """

    count: Callable[[ScoringBatch, MetricSpec], ItemStatistics]
    estimator: Callable[[MetricSpec, Floats], Estimator] = _ratio_of_sums
    scale: Literal["range", "log", "fisher", "calibration"] = "range"
    pseudo_items: Callable[[MetricSpec, Floats], PseudoItems | None] = lambda _spec, _statistics: None
    effective_items: Callable[[MetricSpec, int], float] = lambda _spec, n: n
    large_value: float = 1.0
    smooth: bool = True


def of_means(items: Floats, rows: Ints | None = None, note: str = "") -> ItemStatistics:
    """The statistics of a metric that is the mean of its items' values."""
    rows = np.arange(len(items)) if rows is None else rows
    return ItemStatistics(rows, items, np.stack([items, np.ones(len(items))], axis=1), note)


def implementation(spec: MetricSpec) -> MetricImplementation:
    """Import what computes a metric."""
    module = import_module(f"tutelage.metrics.{spec.entry.module}")
    metric_implementation: MetricImplementation = getattr(module, spec.entry.implementation)
    return metric_implementation
