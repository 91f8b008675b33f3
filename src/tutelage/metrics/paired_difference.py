"""Two models' scores on the same rows to a difference with an interval and a test."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec, parse
from tutelage.metrics.implementation import Floats, Ints, implementation
from tutelage.metrics.score import Difference, ItemScores
from tutelage.metrics.score_intervals import change, spread, units
from tutelage.metrics.stats import intervals
from tutelage.metrics.stats import paired_tests as tests


def paired_difference(
    base: ItemScores, tuned: ItemScores, *, seed: int = 0, trials: int = tests.TRIALS
) -> Difference:
    """Compare two models on the same rows.

    Independent right-or-wrong items get Tango's score interval and McNemar's exact test; everything else an interval
    from the variance of the change and approximate randomisation, whole clusters at a time where items share one. The
    interval leaves 0 out exactly when p is below 0.05 (`intervals.agreeing`).

    Args:
        base: the metric on the model before.
        tuned: the same metric on the model after, over the same rows.
        seed: where random arrangements and draws start; the same seed gives the same numbers.
        trials: how many random arrangements the test draws.

    Raises:
        InputError: the two are not the same metric on the same rows.
    """
    _same_rows(base, tuned)
    spec = parse(base.metric)
    value, n = tuned.score.value - base.score.value, base.score.n
    if n == 0:
        return Difference(math.nan, math.nan, math.nan, 0, 1.0, test="none")
    if spec.entry.kind == "proportion" and base.clusters is None and not base.averaged:
        return _proportions(base, tuned, value)
    made = (_of_all if spec.entry.kind == "other" else _means)(
        spec, base, tuned, value, seed=seed, trials=trials
    )
    return made if base.clusters is None else replace(made, units=int(base.clusters.max()) + 1)


def _proportions(base: ItemScores, tuned: ItemScores, value: float) -> Difference:
    changes = tuned.items - base.items
    gained, lost = int((changes > 0).sum()), int((changes < 0).sum())
    ends = intervals.paired_proportions(gained, lost, len(changes))
    inverted = intervals.t_test(gained - lost, math.sqrt(gained + lost), math.inf)
    found = _difference(value, ends, tests.mcnemar(gained, lost), inverted, len(changes))
    return replace(found, effect=tests.effect_size(changes), test="McNemar exact")


def _means(
    spec: MetricSpec, base: ItemScores, tuned: ItemScores, value: float, *, seed: int, trials: int
) -> Difference:
    changes, clusters, entry = tuned.items - base.items, base.clusters, spec.entry
    width = entry.high - entry.low
    # An average over parts weighs its items: one of them can change it by more than the metric's range.
    most = (
        max(width, *(float(np.abs(side.items).max()) for side in (base, tuned))) if base.averaged else width
    )
    error, freedom = intervals.mean_change(changes, clusters, most=most)
    half = intervals.t_quantile(freedom) * error
    ends = max(-width, value - half), min(width, value + half)
    p = tests.sign_flips(
        _by_cluster(changes, clusters),
        rng=seeds.generator(seed, "randomisation", spec.text),
        trials=trials,
    )
    found = _difference(value, ends, p, intervals.t_test(value, error, freedom), len(changes))
    return replace(found, effect=tests.effect_size(changes))


def _of_all(
    spec: MetricSpec, base: ItemScores, tuned: ItemScores, value: float, *, seed: int, trials: int
) -> Difference:
    clusters = base.clusters
    sides = _same_width(base.statistics, tuned.statistics)
    ends, inverted = change(spec, sides, (base.score.value, tuned.score.value), clusters, seed)
    both, counts = units(np.hstack(sides), clusters)
    weigh = implementation(spec).weigh(spec, np.vstack(np.split(both, 2, axis=1)))
    if clusters is not None:
        groups = int(clusters.max()) + 1
        weigh, _ = spread(weigh, np.concatenate((clusters, clusters + groups)))
        counts = np.ones(groups, np.int64)
    rng = seeds.generator(seed, "randomisation", spec.text)
    p = tests.approximate_randomisation(weigh, counts, rng=rng, trials=trials)
    return _difference(value, ends, p, inverted, len(base.items))


def _difference(value: float, ends: tuple[float, float], p: float, inverted: float, n: int) -> Difference:
    """The difference with an interval and a p that agree, and with what such an interval can find."""
    reach = max(ends[1] - value, value - ends[0])
    low, high, p = intervals.agreeing(value, ends, p, inverted)
    minimum_detectable_effect = (
        tests.minimum_detectable_effect(reach / intervals.Z) if math.isfinite(reach) else None
    )
    return Difference(
        value,
        low,
        high,
        n,
        p,
        minimum_detectable_effect=minimum_detectable_effect,
        test="approximate randomisation",
    )


def _same_width(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Columns of zeros say nothing: entity types that only one side met take some more."""
    width = max(left.shape[1], right.shape[1])
    return tuple(np.pad(own, ((0, 0), (0, width - own.shape[1]))) for own in (left, right))  # type: ignore[return-value]


def _by_cluster(changes: Floats, clusters: Ints | None) -> Floats:
    return changes if clusters is None else np.bincount(clusters, changes).astype(np.float64)


def _same_rows(base: ItemScores, tuned: ItemScores) -> None:
    if base.metric != tuned.metric:
        raise InputError(
            "two different metrics cannot be compared",
            found=f"{base.metric} and {tuned.metric}",
            expected="one",
        )
    if base.rows != tuned.rows or base.score.n != tuned.score.n:
        raise InputError(
            "the two models were not scored on the same rows",
            where=base.metric,
            found=f"{base.score.n} items and {tuned.score.n} items",
            expected="the same items in the same order",
            fix="score both models on the same file",
        )
    left, right = base.clusters, tuned.clusters
    same = left is right if left is None or right is None else np.array_equal(left, right)
    if not same:
        raise InputError("the two models' rows are clustered differently", where=base.metric)
