"""Two models' scores on the same rows to a difference with an interval and a test."""

from __future__ import annotations

import math

import numpy as np

from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.metrics.measures import Floats, Ints, family
from tutelage.metrics.names import Asked, parse
from tutelage.metrics.score import Difference, Scored
from tutelage.metrics.scoring import spread, units
from tutelage.metrics.stats import bootstrap, intervals
from tutelage.metrics.stats import paired as tests


def paired(base: Scored, tuned: Scored, *, seed: int = 0) -> Difference:
    """Compare two models on the same rows.

    Independent right-or-wrong items get Tango's score interval and McNemar's exact test; everything else the paired
    bootstrap and approximate randomisation, whole clusters at a time where items share one.

    Args:
        base: the metric on the model before.
        tuned: the same metric on the model after, over the same rows.
        seed: where resampling starts; the same seed gives the same numbers.

    Raises:
        InputError: the two are not the same metric on the same rows.
    """
    _same_rows(base, tuned)
    asked = parse(base.metric)
    value, n = tuned.score.value - base.score.value, base.score.n
    if n == 0:
        return Difference(math.nan, math.nan, math.nan, 0, 1.0, test="none")
    if asked.entry.kind == "proportion" and base.clusters is None:
        return _proportions(base, tuned, value)
    return _resampled(asked, base, tuned, value, seed)


def _proportions(base: Scored, tuned: Scored, value: float) -> Difference:
    changes = tuned.items - base.items
    gained, lost = int((changes > 0).sum()), int((changes < 0).sum())
    low, high = intervals.paired_proportions(gained, lost, len(changes))
    return Difference(
        value,
        low,
        high,
        len(changes),
        tests.mcnemar(gained, lost),
        effect=tests.effect_size(changes),
        detectable=_detectable_share(gained + lost, len(changes)),
        test="McNemar exact",
    )


def _resampled(asked: Asked, base: Scored, tuned: Scored, value: float, seed: int) -> Difference:
    clusters = base.clusters
    left, right = _same_width(base.statistics, tuned.statistics)
    both, counts = units(np.hstack((left, right)), clusters)
    weigh = family(asked).weigh(asked, np.vstack(np.split(both, 2, axis=1)))
    pairs, groups = spread(lambda weights: tests.differences(weigh, weights), clusters)
    sides = None if clusters is None else np.concatenate((clusters, clusters + (groups or 0)))
    exchanged, _ = spread(weigh, sides)
    if groups is not None:
        counts = np.ones(groups, np.int64)
    drawn = bootstrap.resample(pairs, counts, rng=seeds.generator(seed, "paired bootstrap", asked.text))
    most = asked.entry.high - asked.entry.low
    low, high = bootstrap.interval(drawn, int(counts.sum()), low=-most, high=most)
    rng = seeds.generator(seed, "randomisation", asked.text)
    changes = tuned.items - base.items
    if asked.entry.kind == "other":
        p = tests.approximate_randomisation(exchanged, counts, rng=rng)
    else:
        p = tests.sign_flips(_by_cluster(changes, clusters), rng=rng)
    known = drawn[np.isfinite(drawn)]
    return Difference(
        value,
        min(low, value),
        max(high, value),
        len(changes),
        p,
        effect=tests.effect_size(changes) if asked.entry.kind != "other" else None,
        detectable=tests.detectable(float(known.std())) if known.any() else None,
        test="approximate randomisation",
    )


def _detectable_share(changed: int, n: int) -> float:
    """From the share of items that changed, with one changed and one unchanged item added: 0 of n is not never."""
    return tests.detectable(math.sqrt((changed + 1) / (n + 2) / n))


def _same_width(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Columns of zeros say nothing: entity types that only one side met take some more."""
    width = max(left.shape[1], right.shape[1])
    return tuple(np.pad(own, ((0, 0), (0, width - own.shape[1]))) for own in (left, right))  # type: ignore[return-value]


def _by_cluster(changes: Floats, clusters: Ints | None) -> Floats:
    return changes if clusters is None else np.bincount(clusters, changes).astype(np.float64)


def _same_rows(base: Scored, tuned: Scored) -> None:
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
