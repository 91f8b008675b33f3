"""Rows to scores with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec, expand, parse
from tutelage.metrics.implementation import ItemStatistics, ScoringBatch, implementation
from tutelage.metrics.metric_intervals import metric_interval
from tutelage.metrics.score import ItemScores, Row, Score
from tutelage.metrics.stats.arrays import Floats, Ints
from tutelage.metrics.stats.estimators import SumEstimator
from tutelage.metrics.stats.jackknife import Jackknife

_ANY_TEXT = frozenset({"rouge.metric", "translation", "bertscore"})
"""The modules whose metrics read any text; all others refuse some references, such as a word in the place of a number."""
_CHECKED_ROWS = 20  # enough to see whether such a metric can be counted at all


def score_rows(metrics: Sequence[str], rows: Sequence[Row], *, seed: int = 0) -> dict[str, ItemScores]:
    """Score predictions by several metrics, each with a 95 % interval.

    Args:
        metrics: names, with options as `name:key=value`; a group's name stands for its members.
        rows: the predictions with their references.
        seed: for intervals that draw random numbers; the same seed gives the same interval.

    Returns:
        Each metric's score and what a comparison needs, by the metric's name as written. A metric that counts some rows
        only and counts none of these has n 0 and the value NaN.

    Raises:
        InputError: a metric does not exist, there are no rows, or a metric cannot read a row.
    """
    specs = [parse(text) for text in expand(metrics)]
    if not rows:
        raise InputError("there are no rows to score", found="0 rows", expected="at least one")
    batch = ScoringBatch(rows, specs)
    scores = {}
    for spec in specs:
        item_statistics = implementation(spec).count(batch, spec)
        clusters = cluster_numbers([rows[index] for index in item_statistics.rows.tolist()])
        signature = spec.signature + (f"|{item_statistics.note}" if item_statistics.note else "")
        scores[spec.text] = _item_scores(spec, item_statistics, clusters, signature, seed)
    return scores


def check_rows(metrics: Sequence[str], rows: Sequence[Row]) -> None:
    """Raise what `score_rows` would raise for right answers to these rows, without scoring.

    Metrics that read any text look at the first rows only.
    """
    right = [Row(row.references[0] if row.references else "", row.references, row.fields) for row in rows]
    specs = [parse(text) for text in expand(metrics)]
    all_rows, first_rows = ScoringBatch(right, specs), ScoringBatch(right[:_CHECKED_ROWS], specs)
    for spec in specs:
        implementation(spec).count(first_rows if spec.entry.module in _ANY_TEXT else all_rows, spec)


def score_subset(scores: ItemScores, indices: Sequence[int], *, seed: int = 0) -> ItemScores:
    """Score some of the items from their statistics: the same as scoring their rows alone.

    Args:
        scores: over all items; not a weighted average over parts, whose weights are of all items.
        indices: which of the items, as indices into `scores.items`; the result has their order.
        seed: for intervals that draw random numbers.

    Returns:
        The score of these items, with `rows` as in `scores`. Without items n is 0 and the value NaN.
    """
    chosen = np.array(indices, dtype=np.int64)
    item_statistics = ItemStatistics(
        np.array(scores.rows, dtype=np.int64)[chosen], scores.items[chosen], scores.statistics[chosen]
    )
    clusters = None if scores.clusters is None else renumber_clusters(scores.clusters[chosen])
    if clusters is not None and clusters.max(initial=-1) + 1 == len(clusters):
        clusters = None  # no two of these items share a cluster
    signature = scores.score.signature.partition("|ci:")[0]
    return _item_scores(parse(scores.metric), item_statistics, clusters, signature, seed)


def renumber_clusters(clusters: Ints) -> Ints:
    """Number clusters in order of appearance, so that two sides with the same items have the same numbers."""
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def contributions(scores: ItemScores, *, seed: int = 0) -> Floats:
    """Values of the items whose mean is the metric, and whose variance is the jackknife's.

    For a mean these are the items' values; for any other metric the jackknife's pseudo-values, shifted so that their mean is the
    metric's value (B. Efron, C. Stein, "The jackknife estimate of variance", 1981).

    Args:
        scores: the metric on its items.
        seed: for the groups that are left out together where there are many items.

    Returns:
        float64 of shape (n,), one for each counted item.
    """
    spec = parse(scores.metric)
    if spec.entry.kind != "other":
        return scores.items
    n = len(scores.items)
    estimator = implementation(spec).estimator(spec, scores.statistics)
    jackknife = Jackknife(
        np.ones(n),
        seeds.generator(seed, "contributions", spec.text),
        only_sums=isinstance(estimator, SumEstimator),
    )
    by_unit: Floats = np.nan_to_num(jackknife.derivatives(estimator).by_unit)
    if jackknife.groups is not None:  # spread a group's change evenly over its items
        by_unit = (by_unit / np.bincount(jackknife.groups))[jackknife.groups]
    values: Floats = scores.score.value + (n - 1) * (by_unit - by_unit.mean())
    return values


def score_statistics(
    metric: str, item_statistics: ItemStatistics, clusters: Ints | None, *, seed: int = 0
) -> ItemScores:
    """Score a metric from statistics that were counted elsewhere.

    Args:
        metric: the metric's name.
        item_statistics: its statistics item by item.
        clusters: each item's cluster, numbered from 0; None when items are independent.
        seed: for intervals that draw random numbers.
    """
    spec = parse(metric)
    return _item_scores(spec, item_statistics, clusters, spec.signature, seed)


def _item_scores(
    spec: MetricSpec, item_statistics: ItemStatistics, clusters: Ints | None, signature: str, seed: int
) -> ItemScores:
    value = metric_value(spec, item_statistics)
    low, high, method = metric_interval(spec, item_statistics, value, clusters, seed)
    return ItemScores(
        metric=spec.text,
        score=Score(value, low, high, len(item_statistics.items), f"{signature}|ci:{method}"),
        rows=tuple(item_statistics.rows.tolist()),
        items=item_statistics.items,
        statistics=item_statistics.statistics,
        higher_is_better=spec.entry.better == "higher",
        clusters=clusters,
    )


def metric_value(spec: MetricSpec, item_statistics: ItemStatistics) -> float:
    """A metric's value on counted items, NaN without any."""
    if not len(item_statistics.items):
        return math.nan
    if spec.entry.kind != "other":
        return float(item_statistics.items.mean())
    estimator = implementation(spec).estimator(spec, item_statistics.statistics)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(estimator(np.ones((1, len(item_statistics.statistics))))[0])


def cluster_numbers(rows: Sequence[Row]) -> Ints | None:
    """The number of each row's cluster, None when no two rows share one. A row that names none stands alone."""
    numbers: dict[tuple[str, str] | int, int] = {}
    clusters = [
        numbers.setdefault(index if row.cluster is None else (row.task, row.cluster), len(numbers))
        for index, row in enumerate(rows)
    ]
    return None if len(numbers) == len(rows) else np.array(clusters, np.int64)
