"""Rows to scores with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec, expand, parse
from tutelage.metrics.implementation import Ints, ItemStatistics, ScoringBatch, implementation
from tutelage.metrics.score import ItemScores, Row, Score
from tutelage.metrics.score_intervals import interval

_FIRST = 20  # rows that tell whether a metric can be counted at all


def score_rows(metrics: Sequence[str], rows: Sequence[Row], *, seed: int = 0) -> dict[str, ItemScores]:
    """Score predictions.

    Args:
        metrics: names, with options as `name:key=value`; a group's name stands for its members.
        rows: the predictions with their references.
        seed: of the intervals that draw numbers; the same seed gives the same interval.

    Returns:
        For each metric, by the name asked for, its score and what a comparison needs. A metric that counts some
        rows only and found none has n 0 and the value NaN.

    Raises:
        InputError: a metric is not known, there are no rows, or a metric cannot read a row.
    """
    wanted = [parse(text) for text in expand(metrics)]
    if not rows:
        raise InputError("there are no rows to score", found="0 rows", expected="at least one")
    shared = ScoringBatch(rows, wanted)
    return {spec.text: _scored(shared, spec, seed) for spec in wanted}


def check_rows(metrics: Sequence[str], rows: Sequence[Row]) -> None:
    """Raise what `score_rows` would raise for answers that are right, without making a score.

    Metrics that read fields look at every row, the others at the first ones only.
    """
    wanted = [parse(text) for text in expand(metrics)]
    right = [Row(row.references[0] if row.references else "", row.references, row.fields) for row in rows]
    for spec in wanted:
        own = right if spec.entry.reads else right[:_FIRST]
        implementation(spec).count(ScoringBatch(own, [spec]), spec)


def score_subset(scored: ItemScores, at: Sequence[int], *, seed: int = 0) -> ItemScores:
    """The same metric over some of the items, with the interval that they alone have: what scoring their rows alone gives.

    Args:
        scored: over all items, one line of statistics an item; not an average over parts, whose weights are of all items.
        at: which of the items, as indices into `scored.items`, in the order that is wanted.
        seed: of the intervals that draw numbers.

    Returns:
        The score of these items, `rows` as they were. Without items n is 0 and the value NaN.
    """
    spec = parse(scored.metric)
    chosen = np.array(at, dtype=np.int64)
    counted = ItemStatistics(
        np.array(scored.rows, dtype=np.int64)[chosen], scored.items[chosen], scored.statistics[chosen]
    )
    clusters = None if scored.clusters is None else renumber_clusters(scored.clusters[chosen])
    if clusters is not None and clusters.max(initial=-1) + 1 == len(clusters):
        clusters = None  # of these no two share one
    value = _value(spec, counted)
    low, high, how = interval(spec, counted, value, clusters, seed)
    signature = f"{scored.score.signature.partition('|ci:')[0]}|ci:{how}"
    return replace(
        scored,
        score=Score(value, low, high, len(counted.items), signature),
        rows=tuple(counted.rows.tolist()),
        items=counted.items,
        statistics=counted.lines,
        clusters=clusters,
    )


def renumber_clusters(clusters: Ints) -> Ints:
    """Clusters numbered in the order in which they come, so that two sides number them alike."""
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _scored(shared: ScoringBatch, spec: MetricSpec, seed: int) -> ItemScores:
    counted = implementation(spec).count(shared, spec)
    clusters = _clusters([shared.rows[index] for index in counted.rows.tolist()])
    value = _value(spec, counted)
    low, high, how = interval(spec, counted, value, clusters, seed)
    parts = [spec.signature, *([counted.note] if counted.note else []), f"ci:{how}"]
    return ItemScores(
        metric=spec.text,
        score=Score(value, low, high, len(counted.items), "|".join(parts)),
        rows=tuple(counted.rows.tolist()),
        items=counted.items,
        statistics=counted.lines,
        higher_is_better=spec.entry.better == "higher",
        clusters=clusters,
    )


def _value(spec: MetricSpec, counted: ItemStatistics) -> float:
    if not len(counted.items):
        return math.nan
    if spec.entry.kind != "other":
        return float(counted.items.mean())
    weigh = implementation(spec).weigh(spec, counted.lines)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(weigh(np.ones((1, len(counted.lines))))[0])


def _clusters(rows: Sequence[Row]) -> Ints | None:
    """The number of each row's cluster, None when no two rows share one. A row that names none stands alone."""
    numbers: dict[tuple[str, str] | int, int] = {}
    found = [
        numbers.setdefault(index if row.cluster is None else (row.task, row.cluster), len(numbers))
        for index, row in enumerate(rows)
    ]
    return None if len(numbers) == len(rows) else np.array(found, np.int64)
