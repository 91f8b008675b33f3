"""The 95 % interval of a metric, and that of its change between two models on the same items.

Means have closed forms. The variance of every other metric is the jackknife's; the interval's shape follows from where
the metric can lie (`Family.scale`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tutelage.core import seeds
from tutelage.metrics.calibration import ece_places, too_few_for_ece
from tutelage.metrics.measures import Counted, Floats, Ints, Unseen, Weigh, family
from tutelage.metrics.names import Asked
from tutelage.metrics.stats import bootstrap, calibration, intervals
from tutelage.metrics.stats.intervals import Z
from tutelage.metrics.stats.jackknife import Derivatives, LeaveOut

Ends = tuple[float, float]

_LARGEST = 700.0
"""Its exponential is still a float64."""


def interval(
    asked: Asked, counted: Counted, value: float, clusters: Ints | None, seed: int
) -> tuple[float, float, str]:
    """Both ends of the interval and the name of the way it was made.

    Args:
        asked: the metric.
        counted: what it counted.
        value: its value over all items.
        clusters: each item's cluster; None when items are independent.
        seed: of random groups and draws, where there are any.
    """
    entry, n = asked.entry, len(counted.items)
    if n == 0:
        return math.nan, math.nan, "none"
    if entry.kind == "other":
        ends, how = _of_all(asked, counted.lines, value, clusters, seed)
        return *ends, how if clusters is None else f"clustered-{how}|clusters:{clusters.max() + 1}"
    if clusters is not None:
        ends = intervals.clustered_mean(counted.items, clusters, low=entry.low, high=entry.high)
        return *ends, f"clustered-score|clusters:{clusters.max() + 1}"
    if entry.kind == "proportion":
        return *intervals.wilson(float(counted.items.sum()), n), "wilson"
    return *intervals.mean(counted.items, low=entry.low, high=entry.high), "score"


def change(
    asked: Asked, sides: tuple[Floats, Floats], values: Ends, clusters: Ints | None, seed: int
) -> tuple[Ends, float]:
    """The interval of tuned minus base for a metric of all items, and the p of the test that it inverts.

    Args:
        asked: the metric.
        sides: the lines of base and tuned on the same items, each float64 of shape (n, k).
        values: the metric on base and tuned.
        clusters: each item's cluster; None when items are independent.
        seed: of random groups and draws, where there are any.
    """
    difference, most = values[1] - values[0], asked.entry.high - asked.entry.low
    if not math.isfinite(difference) or np.count_nonzero(_sizes(sides[0], clusters)) < 2:
        return (-most, most), 1.0
    if family(asked).scale == "calibration":
        if too_few_for_ece(asked, len(sides[0])):
            return (-most, most), 1.0
        low, high = _change_of_calibration(asked, sides, values, clusters, seed)
        error, freedom = (high - low) / (2 * Z), math.inf
    elif family(asked).scale == "log" and min(values) > asked.entry.low:
        low, high = _change_on_logarithm(asked, sides, values, clusters, seed)
        error, freedom = (high - low) / (2 * Z), math.inf
    else:
        error, freedom = _change_error(asked, sides, values, clusters, seed)
        half = intervals.t_quantile(freedom) * error
        low, high = difference - half, difference + half
    return (max(low, -most), min(high, most)), intervals.t_test(difference, error, freedom)


def units(lines: Floats, clusters: Ints | None) -> tuple[Floats, Ints]:
    """What is left out or exchanged as a whole: lines folded into equal ones, and how many units each stands for."""
    return bootstrap.fold(lines) if clusters is None else (lines, np.ones(len(lines), np.int64))


def spread(weigh: Weigh, clusters: Ints | None) -> tuple[Weigh, int | None]:
    """The same function for weights of clusters instead of lines, and how many clusters there are."""
    if clusters is None:
        return weigh, None
    if isinstance(weigh, bootstrap.OfSums):
        grouped = weigh.by_cluster(clusters)
        return grouped, len(grouped.lines)
    return (lambda weights: weigh(weights[:, clusters])), int(clusters.max(initial=-1)) + 1


def _of_all(asked: Asked, lines: Floats, value: float, clusters: Ints | None, seed: int) -> tuple[Ends, str]:
    kind, entry = family(asked), asked.entry
    sizes = _sizes(lines, clusters)
    few = kind.scale == "calibration" and too_few_for_ece(asked, len(lines))
    if few or not math.isfinite(value) or len(sizes) < 2:
        return (entry.low, entry.high), "none"
    if kind.scale == "calibration":
        low, high = calibration.interval(_bins(asked, lines, clusters), _rng(asked, seed))
        return (min(low, value), max(high, value)), f"inverted-bootstrap|bs:{calibration.DRAWS}|seed:{seed}"
    folded, counts = units(lines, clusters)
    unseen = kind.unseen(asked, folded)
    added = np.empty(0)
    if unseen is not None:
        folded = np.vstack((folded, unseen.wrong, unseen.right))
        added = np.full(2 * len(unseen.wrong), 0.5 / len(unseen.wrong))
    plan, (found,), variance = _left_out(asked, [folded], counts, added, clusters=clusters, seed=seed)
    way = "jackknife" if kind.smooth else "bootstrap"
    how = f"{way}-{kind.scale}" + ("" if kind.smooth and plan.groups is None else f"|seed:{seed}")
    size = intervals.effective(sizes)
    quantile = intervals.t_quantile(max(size - 1, 1.0))
    if kind.scale == "fisher":
        return _fisher(value, variance, size, quantile), how
    if kind.scale == "log" and value > entry.low:
        return _log_interval(asked, value, math.sqrt(variance), _freedom_by_weight(lines, clusters)), how
    if unseen is None:
        factor, quantile = _factor_by_items(asked, value, variance, plan, found, size=size, n=len(lines))
    else:
        room = (found.value - entry.low) * (entry.high - found.value)
        factor = variance / room if room > 0 else 1 / size
    return intervals.on_range(value, factor, quantile, low=entry.low, high=entry.high), how


def _factor_by_items(
    asked: Asked, value: float, variance: float, plan: LeaveOut, found: Derivatives, *, size: float, n: int
) -> tuple[float, float]:
    """The factor and quantile of a metric without classes, from the variance and how many items are alike."""
    kind, low, high = family(asked), asked.entry.low, asked.entry.high
    top = low + kind.most if math.isinf(high) else high
    counted = max(1.0, kind.size(asked, n) * size / n)
    alike = plan.alike(found.each) / float(plan.weights.sum()) * counted
    freedom = max(size - 1, 1.0)
    return intervals.smoothed_factor(
        value, variance, counted, alike, freedom, low=low, high=top, bounded=math.isfinite(high)
    )


def _fisher(value: float, variance: float, size: float, quantile: float) -> Ends:
    """The interval of a correlation on the scale of Fisher's z.

    R. A. Fisher, "On the probable error of a coefficient of correlation deduced from a small sample", 1921. The standard
    error is the jackknife's (D. Hinkley, "Jackknifing statistics of correlation", 1978), which holds for any distribution,
    and no less than normal numbers have, because the jackknife of few items can be far too small. A perfect correlation is
    taken as if one more item had no part in it.
    """
    if size <= 3:
        return -1.0, 1.0
    inside = value if abs(value) < 1 - 1e-12 else math.copysign(1 - 1 / size, value)
    centre = math.atanh(inside)
    error = math.sqrt(variance) / (1 - inside * inside)
    half = max(quantile * error, Z / math.sqrt(size - 3))
    return min(value, math.tanh(centre - half)), max(value, math.tanh(centre + half))


def _change_error(
    asked: Asked, sides: tuple[Floats, Floats], values: Ends, clusters: Ints | None, seed: int
) -> tuple[float, float]:
    """The standard error of tuned minus base, and its degrees of freedom."""
    kind, width = family(asked), sides[0].shape[1]
    pairs, counts = units(np.hstack(sides), clusters)
    left, right = pairs[:, :width], pairs[:, width:]
    unseen = kind.unseen(asked, np.vstack((left, right)))
    added = np.empty(0)
    if unseen is not None:
        added = _changes_of_classes(unseen, counts * (left != right).any(1))
        some = added > 0
        left = np.vstack((left, np.vstack((unseen.wrong, unseen.right))[some]))
        right = np.vstack((right, np.vstack((unseen.right, unseen.wrong))[some]))
        added = added[some]
    plan, (before, after), variance = _left_out(
        asked, [left, right], counts, added, clusters=clusters, seed=seed
    )
    sizes = _sizes(sides[0], clusters)
    changes = after.each - before.each
    if unseen is None:
        most = asked.entry.high - asked.entry.low
        most = max(kind.most, *values) if math.isinf(most) else most
        not_seen = intervals.unseen_changes(sizes / sizes.sum(), plan.moved(changes), most)
    else:
        not_seen = variance * plan.share_of_last(changes, len(added))
        variance -= not_seen
    freedom = intervals.pooled_freedom(variance, max(intervals.effective(sizes) - 1, 1.0), not_seen)
    return math.sqrt(variance + not_seen), freedom


def _changes_of_classes(unseen: Unseen, changed: Floats) -> Floats:
    """The weights of items that nobody saw turn right, and of those that nobody saw turn wrong, of each class.

    Tango's interval of as many gains as losses reaches to about max(Z**2, Z sqrt(k)) / n for k changes: as if at least Z**2
    items had changed. Each class has an equal share of these, and gets as many as its own changes fall short of it.
    """
    classes = len(unseen.wrong)
    moved = np.full(classes, changed.sum())
    if unseen.of is not None:
        moved = np.bincount(unseen.of[: len(changed)], changed, minlength=classes)
    return np.tile(np.maximum(0.0, Z * Z / classes - moved) / 2, 2)


def _change_of_calibration(
    asked: Asked, sides: tuple[Floats, Floats], values: Ends, clusters: Ints | None, seed: int
) -> Ends:
    """The interval of the change of a calibration error, from those of both models' errors and their correlation.

    The correlation is that of the items' gaps between confidence and right, shrunk as if Z**2 more items had none.
    """
    ends = [calibration.interval(_bins(asked, own, clusters), _rng(asked, seed)) for own in sides]
    gaps = [own[:, 0] - own[:, 1] for own in sides]
    n = len(gaps[0])
    varies = all(float(own.std()) > 0 for own in gaps)
    correlation = max(0.0, float(np.corrcoef(gaps[0], gaps[1])[0, 1])) * n / (n + Z * Z) if varies else 0.0
    sizes = _sizes(sides[0], clusters)
    moved = int(np.count_nonzero(gaps[0] != gaps[1]))
    unseen = intervals.unseen_changes(sizes / sizes.sum(), moved, 1.0)
    return intervals.combined_difference(values, (ends[0], ends[1]), correlation, unseen)


def _change_on_logarithm(
    asked: Asked, sides: tuple[Floats, Floats], values: Ends, clusters: Ints | None, seed: int
) -> Ends:
    """The interval of the change of a metric without an upper bound, which is skewed as those of both models are."""
    width = sides[0].shape[1]
    pairs, counts = units(np.hstack(sides), clusters)
    both = [pairs[:, :width], pairs[:, width:]]
    plan, sides_each, variance = _left_out(asked, both, counts, np.empty(0), clusters=clusters, seed=seed)
    errors = [math.sqrt(plan.variance(side.each)) for side in sides_each]
    product = errors[0] * errors[1]
    correlation = (errors[0] ** 2 + errors[1] ** 2 - variance) / (2 * product) if product > 0 else 0.0
    sizes = _sizes(sides[0], clusters)
    ends = [
        _log_interval(asked, value, error, _freedom_by_weight(lines, clusters))
        for value, error, lines in zip(values, errors, sides, strict=True)
    ]
    moved = plan.moved(sides_each[1].each - sides_each[0].each)
    unseen = intervals.unseen_changes(sizes / sizes.sum(), moved, max(family(asked).most, *values))
    return intervals.combined_difference(values, (ends[0], ends[1]), correlation, unseen)


def _log_interval(asked: Asked, value: float, error: float, freedom: float) -> Ends:
    """The interval of nats a unit of text, on the scale of their logarithm, as the metric's own values.

    Args:
        asked: perplexity, the exponential of nats a token, or bits a byte.
        value: the metric, above its lower end.
        error: the standard error of the value.
        freedom: degrees of freedom of that error.
    """
    quantile = intervals.t_quantile(freedom)
    if asked.entry.low == 0:
        times = math.exp(quantile * error / value)
        return value / times, value * times
    nats = math.log(value)
    times = math.exp(min(quantile * error / (value * nats), _LARGEST))
    return math.exp(nats / times), math.exp(min(nats * times, _LARGEST))


def _freedom_by_weight(lines: Floats, clusters: Ints | None) -> float:
    """Degrees of freedom of a ratio of sums: a few long texts count as few, whatever the number of short ones."""
    tokens = lines[:, 1]
    weights = tokens if clusters is None else np.bincount(clusters, tokens).astype(np.float64)
    return max(intervals.effective(weights) - 1, 1.0)


def _bins(asked: Asked, lines: Floats, clusters: Ints | None) -> calibration.Bins:
    """Items by bin; those that share a cluster count as fewer, by how much larger that makes the variance of their gap."""
    confidence, right = lines.T
    count = float(len(lines))
    if clusters is not None:
        gaps = confidence - right - float((confidence - right).mean())
        summed = np.bincount(clusters, gaps)
        alone = float(gaps @ gaps)
        count = count / max(1.0, float(summed @ summed) / alone) if alone > 0 else float(clusters.max() + 1)
    return calibration.Bins.of(confidence, right, ece_places(asked, lines), count=count)


def _left_out(
    asked: Asked,
    sides: Sequence[Floats],
    counts: Ints,
    added: Floats,
    *,
    clusters: Ints | None,
    seed: int,
) -> tuple[LeaveOut, list[Derivatives], float]:
    """Each side's derivatives by units, and the variance of the value, or of the difference of two.

    `added` are the weights of the last lines, which nobody saw.
    """
    if clusters is not None:
        first = int(clusters.max()) + 1
        counts = np.ones(first, np.int64)
        clusters = np.concatenate((clusters, np.arange(first, first + len(added))))
    weighs = [spread(family(asked).weigh(asked, lines), clusters)[0] for lines in sides]
    sums = all(isinstance(weigh, bootstrap.OfSums) for weigh in weighs)
    plan = LeaveOut(np.concatenate((counts, added)), _rng(asked, seed), sums=sums)
    found = [plan.derivatives(weigh) for weigh in weighs]
    if family(asked).smooth:
        return plan, found, plan.variance(found[-1].each - (found[0].each if len(found) > 1 else 0.0))
    drawn = bootstrap.resample(
        lambda weights: weighs[-1](weights) - (weighs[0](weights) if len(weighs) > 1 else 0.0),
        counts,
        rng=_rng(asked, seed),
    )
    n = int(counts.sum())
    return plan, found, float(np.nanvar(drawn)) * n / (n - 1)


def _sizes(lines: Floats, clusters: Ints | None) -> Floats:
    """How many items each independent unit has."""
    return np.ones(len(lines)) if clusters is None else np.bincount(clusters).astype(np.float64)


def _rng(asked: Asked, seed: int) -> np.random.Generator:
    return seeds.generator(seed, "interval", asked.text)
