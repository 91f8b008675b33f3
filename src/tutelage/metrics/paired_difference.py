"""Two models' scores on the same rows to a difference with an interval and a test."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec, parse
from tutelage.metrics.implementation import implementation
from tutelage.metrics.metric_intervals import by_cluster, change_interval, independent_units
from tutelage.metrics.score import ItemScores, ScoreDifference
from tutelage.metrics.stats import intervals, paired_tests
from tutelage.metrics.stats.arrays import Floats, Ints


def paired_difference(
    base: ItemScores, tuned: ItemScores, *, seed: int = 0, trials: int = paired_tests.TRIALS
) -> ScoreDifference:
    """Compare two models on the same rows.

    Independent right-or-wrong items get Tango's score interval and McNemar's exact test; everything else an interval
    from the variance of the change and approximate randomisation, whole clusters at a time where items share one. The
    interval leaves 0 out exactly when p is below 0.05 (`intervals.reconcile`).

    Args:
        base: the metric on the base model.
        tuned: the same metric on the tuned model, over the same rows.
        seed: for random arrangements and draws; the same seed gives the same numbers.
        trials: how many random arrangements the test draws.

    Raises:
        InputError: the two are not the same metric on the same rows.
    """
    _require_same_rows(base, tuned)
    spec = parse(base.metric)
    value, n = tuned.score.value - base.score.value, base.score.n
    if n == 0:
        return ScoreDifference(math.nan, math.nan, math.nan, 0, 1.0, test="none")
    if spec.entry.kind == "proportion" and base.clusters is None and not base.averaged:
        return _difference_of_proportions(base, tuned, value)
    compute = _difference_of_all if spec.entry.kind == "other" else _difference_of_means
    difference = compute(spec, base, tuned, value, seed=seed, trials=trials)
    return difference if base.clusters is None else replace(difference, units=_cluster_count(base.clusters))


def _difference_of_proportions(base: ItemScores, tuned: ItemScores, value: float) -> ScoreDifference:
    changes = tuned.items - base.items
    gained, lost = int((changes > 0).sum()), int((changes < 0).sum())
    ends = intervals.paired_proportions_interval(gained, lost, len(changes))
    interval_p = intervals.t_test(gained - lost, math.sqrt(gained + lost), math.inf)
    difference = _difference(value, ends, paired_tests.mcnemar(gained, lost), interval_p, len(changes))
    return replace(difference, effect=paired_tests.effect_size(changes), test="McNemar exact")


def _difference_of_means(
    spec: MetricSpec, base: ItemScores, tuned: ItemScores, value: float, *, seed: int, trials: int
) -> ScoreDifference:
    changes, clusters = tuned.items - base.items, base.clusters
    width = spec.entry.high - spec.entry.low
    # An average over parts weighs its items: one can change by more than the metric's range.
    weighed = [float(np.abs(side.items).max()) for side in (base, tuned) if side.averaged]
    error, dof = intervals.mean_change_error(changes, clusters, largest=max([width, *weighed]))
    half = intervals.t_quantile(dof) * error
    ends = max(-width, value - half), min(width, value + half)
    p = paired_tests.sign_flips(
        changes if clusters is None else np.bincount(clusters, changes).astype(np.float64),
        rng=seeds.generator(seed, "randomisation", spec.text),
        trials=trials,
    )
    difference = _difference(value, ends, p, intervals.t_test(value, error, dof), len(changes))
    return replace(difference, effect=paired_tests.effect_size(changes))


def _difference_of_all(
    spec: MetricSpec, base: ItemScores, tuned: ItemScores, value: float, *, seed: int, trials: int
) -> ScoreDifference:
    clusters = base.clusters
    sides = same_width(base.statistics, tuned.statistics)
    ends, interval_p = change_interval(spec, sides, (base.score.value, tuned.score.value), clusters, seed)
    pairs, counts = independent_units(np.hstack(sides), clusters)
    estimator = implementation(spec).estimator(spec, np.vstack(np.split(pairs, 2, axis=1)))
    if clusters is not None:
        groups = _cluster_count(clusters)
        estimator = by_cluster(estimator, np.concatenate((clusters, clusters + groups)))
        counts = np.ones(groups, np.int64)
    rng = seeds.generator(seed, "randomisation", spec.text)
    p = paired_tests.approximate_randomisation(estimator, counts, rng=rng, trials=trials)
    return _difference(value, ends, p, interval_p, len(base.items))


def _difference(
    value: float, ends: tuple[float, float], p: float, interval_p: float, n: int
) -> ScoreDifference:
    """The difference with an interval and a p that agree, and the effect that such an interval can detect."""
    reach = max(ends[1] - value, value - ends[0])
    low, high, p = intervals.reconcile(value, ends, p, interval_p)
    return ScoreDifference(
        value,
        low,
        high,
        n,
        p,
        minimum_detectable_effect=paired_tests.minimum_detectable_effect(reach / intervals.Z)
        if math.isfinite(reach)
        else None,
        test="approximate randomisation",
    )


def same_width(base: Floats, tuned: Floats) -> tuple[Floats, Floats]:
    """Fill up with columns of zeros: entity types that only one side has take columns of their own."""
    width = max(base.shape[1], tuned.shape[1])
    padded = [np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in (base, tuned)]
    return padded[0], padded[1]


def _cluster_count(clusters: Ints) -> int:
    return int(clusters.max()) + 1


def _require_same_rows(base: ItemScores, tuned: ItemScores) -> None:
    if base.metric != tuned.metric:
        raise InputError(
            "two different metrics cannot be compared",
            found=f"{base.metric} and {tuned.metric}",
            expected="the same metric",
        )
    if base.rows != tuned.rows or base.score.n != tuned.score.n:
        raise InputError(
            "the two models were not scored on the same rows",
            where=base.metric,
            found=f"{base.score.n} items and {tuned.score.n} items",
            expected="the same items in the same order",
            fix="score both models on the same file",
        )
    if not np.array_equal(base.clusters, tuned.clusters):  # type: ignore[arg-type] # None equals None
        raise InputError("the two models' rows are clustered differently", where=base.metric)
