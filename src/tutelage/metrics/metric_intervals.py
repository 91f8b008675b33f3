"""The 95 % interval of a metric, and that of its change between two models on the same items.

Means have closed forms. The variance of every other metric is the jackknife's; the interval's shape follows from where
the metric can lie (`MetricImplementation.scale`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tutelage.core import seeds
from tutelage.metrics.calibration import ece_bins, too_few_for_ece
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, PseudoItems, implementation
from tutelage.metrics.stats import bootstrap, intervals
from tutelage.metrics.stats.arrays import Floats, Ints, fold_duplicates
from tutelage.metrics.stats.calibration_interval import DRAWS, ConfidenceBins, calibration_interval
from tutelage.metrics.stats.estimators import Estimator, SumEstimator
from tutelage.metrics.stats.intervals import Z
from tutelage.metrics.stats.jackknife import Jackknife, JackknifeDerivatives

Interval = tuple[float, float]

_LARGEST_EXPONENT = 700.0  # its exponential is still a float64


def metric_interval(
    spec: MetricSpec, item_statistics: ItemStatistics, value: float, clusters: Ints | None, seed: int
) -> tuple[float, float, str]:
    """Both ends of a metric's interval, and the name of the method for the signature.

    Args:
        spec: the metric.
        item_statistics: what it counted, item by item.
        value: its value on all items.
        clusters: each item's cluster; None when items are independent.
        seed: for random groups and draws, where there are any.
    """
    entry, n = spec.entry, len(item_statistics.items)
    if n == 0:
        return math.nan, math.nan, "none"
    if entry.kind == "other":
        interval, method = _interval_of_all(spec, item_statistics.statistics, value, clusters, seed)
        return *interval, method if clusters is None else f"clustered-{method}|clusters:{clusters.max() + 1}"
    if clusters is not None:
        interval = intervals.clustered_mean_interval(
            item_statistics.items, clusters, low=entry.low, high=entry.high
        )
        return *interval, f"clustered-score|clusters:{clusters.max() + 1}"
    if entry.kind == "proportion":
        return *intervals.wilson_interval(float(item_statistics.items.sum()), n), "wilson"
    return *intervals.mean_interval(item_statistics.items, low=entry.low, high=entry.high), "score"


def change_interval(
    spec: MetricSpec, sides: tuple[Floats, Floats], values: Interval, clusters: Ints | None, seed: int
) -> tuple[Interval, float]:
    """The interval of tuned minus base for a metric of kind `other`, and the p of the test that it inverts.

    Args:
        spec: the metric.
        sides: the statistics of base and tuned on the same items, each float64 of shape (n, k).
        values: the metric on base and tuned.
        clusters: each item's cluster; None when items are independent.
        seed: for random groups and draws, where there are any.
    """
    difference, width = values[1] - values[0], spec.entry.high - spec.entry.low
    if not math.isfinite(difference) or np.count_nonzero(_unit_sizes(sides[0], clusters)) < 2:
        return (-width, width), 1.0
    scale = implementation(spec).scale
    if scale == "calibration" and too_few_for_ece(spec, len(sides[0])):
        return (-width, width), 1.0
    if scale == "calibration" or (scale == "log" and min(values) > spec.entry.low):
        change = _change_of_calibration if scale == "calibration" else _change_on_log_scale
        low, high = change(spec, sides, values, clusters, seed)
        error, dof = (high - low) / (2 * Z), math.inf
    else:
        error, dof = _change_error(spec, sides, values, clusters, seed)
        half = intervals.t_quantile(dof) * error
        low, high = difference - half, difference + half
    return (max(low, -width), min(high, width)), intervals.t_test(difference, error, dof)


def independent_units(statistics: Floats, clusters: Ints | None) -> tuple[Floats, Ints]:
    """What is left out or exchanged as a whole: duplicates folded where there are no clusters, with their counts."""
    if clusters is None:
        return fold_duplicates(statistics)
    return statistics, np.ones(len(statistics), np.int64)


def by_cluster(estimator: Estimator, clusters: Ints | None) -> Estimator:
    """The same estimator as a function of the weights of clusters instead of items."""
    if clusters is None:
        return estimator
    if isinstance(estimator, SumEstimator):
        return estimator.by_cluster(clusters)
    return lambda weights: estimator(weights[:, clusters])


def _interval_of_all(
    spec: MetricSpec, statistics: Floats, value: float, clusters: Ints | None, seed: int
) -> tuple[Interval, str]:
    metric_implementation, entry = implementation(spec), spec.entry
    sizes = _unit_sizes(statistics, clusters)
    too_few = metric_implementation.scale == "calibration" and too_few_for_ece(spec, len(statistics))
    if too_few or not math.isfinite(value) or len(sizes) < 2:
        return (entry.low, entry.high), "none"
    if metric_implementation.scale == "calibration":
        low, high = calibration_interval(_confidence_bins(spec, statistics, clusters), _rng(spec, seed))
        return (min(low, value), max(high, value)), f"inverted-bootstrap|bs:{DRAWS}|seed:{seed}"
    folded, counts = independent_units(statistics, clusters)
    pseudo = metric_implementation.pseudo_items(spec, folded)
    pseudo_weights = np.empty(0)
    if pseudo is not None:
        folded = np.vstack((folded, pseudo.wrong, pseudo.right))
        pseudo_weights = np.full(2 * len(pseudo.wrong), 0.5 / len(pseudo.wrong))
    jackknife, (derivatives,), variance = _leave_out(
        spec, [folded], counts, pseudo_weights, clusters=clusters, seed=seed
    )
    drawn = not metric_implementation.smooth or jackknife.groups is not None
    method = f"{'jackknife' if metric_implementation.smooth else 'bootstrap'}-{metric_implementation.scale}"
    method += f"|seed:{seed}" if drawn else ""
    size = intervals.effective_size(sizes)
    quantile = intervals.t_quantile(max(size - 1, 1.0))
    if metric_implementation.scale == "fisher":
        return _fisher_interval(value, variance, size, quantile), method
    if metric_implementation.scale == "log" and value > entry.low:
        return _log_interval(spec, value, math.sqrt(variance), _dof_by_length(statistics, clusters)), method
    if pseudo is None:
        factor, quantile = _smoothed_factor(
            spec, value, variance, jackknife, derivatives, size=size, n=len(statistics)
        )
    else:
        room = (derivatives.value - entry.low) * (entry.high - derivatives.value)
        factor = variance / room if room > 0 else 1 / size
    return intervals.score_interval(value, factor, quantile, low=entry.low, high=entry.high), method


def _smoothed_factor(
    spec: MetricSpec,
    value: float,
    variance: float,
    jackknife: Jackknife,
    derivatives: JackknifeDerivatives,
    *,
    size: float,
    n: int,
) -> tuple[float, float]:
    """The factor and quantile of a metric without classes, from the variance and how many items are equal."""
    metric_implementation, low, high = implementation(spec), spec.entry.low, spec.entry.high
    top = low + metric_implementation.large_value if math.isinf(high) else high
    items = max(1.0, metric_implementation.effective_items(spec, n) * size / n)
    modal_count = jackknife.modal_count(derivatives.by_unit) / float(jackknife.weights.sum()) * items
    dof = max(size - 1, 1.0)
    return intervals.smoothed_factor(
        value, variance, items, modal_count, dof, low=low, high=top, bounded=math.isfinite(high)
    )


def _fisher_interval(value: float, variance: float, size: float, quantile: float) -> Interval:
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
    spec: MetricSpec, sides: tuple[Floats, Floats], values: Interval, clusters: Ints | None, seed: int
) -> tuple[float, float]:
    """The standard error of tuned minus base, and its degrees of freedom."""
    metric_implementation, width = implementation(spec), sides[0].shape[1]
    pairs, counts = independent_units(np.hstack(sides), clusters)
    base, tuned = pairs[:, :width], pairs[:, width:]
    pseudo = metric_implementation.pseudo_items(spec, np.vstack((base, tuned)))
    pseudo_weights = np.empty(0)
    if pseudo is not None:
        pseudo_weights = _pseudo_change_weights(pseudo, counts * (base != tuned).any(1))
        used = pseudo_weights > 0
        base = np.vstack((base, np.vstack((pseudo.wrong, pseudo.right))[used]))
        tuned = np.vstack((tuned, np.vstack((pseudo.right, pseudo.wrong))[used]))
        pseudo_weights = pseudo_weights[used]
    jackknife, (of_base, of_tuned), variance = _leave_out(
        spec, [base, tuned], counts, pseudo_weights, clusters=clusters, seed=seed
    )
    sizes = _unit_sizes(sides[0], clusters)
    changes = of_tuned.by_unit - of_base.by_unit
    if pseudo is None:
        largest = spec.entry.high - spec.entry.low
        largest = max(metric_implementation.large_value, *values) if math.isinf(largest) else largest
        unobserved = intervals.unobserved_variance(
            sizes / sizes.sum(), jackknife.changed_count(changes), largest
        )
    else:
        unobserved = variance * jackknife.variance_share_of_last(changes, len(pseudo_weights))
        variance -= unobserved
    dof = intervals.pooled_dof(variance, max(intervals.effective_size(sizes) - 1, 1.0), unobserved)
    return math.sqrt(variance + unobserved), dof


def _pseudo_change_weights(pseudo: PseudoItems, changed: Floats) -> Floats:
    """The weights of pseudo-items that turn right, then of those that turn wrong, of each class.

    Tango's interval of as many gains as losses reaches to about max(Z**2, Z sqrt(k)) / n for k changes: as if at least Z**2
    items had changed. Each class has an equal share of these, and gets as many as its own changes fall short of it.
    """
    classes = len(pseudo.wrong)
    observed = np.full(classes, changed.sum())
    if pseudo.classes is not None:
        observed = np.bincount(pseudo.classes[: len(changed)], changed, minlength=classes)
    return np.tile(np.maximum(0.0, Z * Z / classes - observed) / 2, 2)


def _change_of_calibration(
    spec: MetricSpec, sides: tuple[Floats, Floats], values: Interval, clusters: Ints | None, seed: int
) -> Interval:
    """The interval of the change of a calibration error, from those of both models' errors and their correlation.

    The correlation is that of the items' gaps between confidence and right, shrunk as if Z**2 more items had none.
    """
    base, tuned = (
        calibration_interval(_confidence_bins(spec, side, clusters), _rng(spec, seed)) for side in sides
    )
    gaps = [side[:, 0] - side[:, 1] for side in sides]
    n = len(gaps[0])
    varies = all(float(gap.std()) > 0 for gap in gaps)
    correlation = max(0.0, float(np.corrcoef(gaps[0], gaps[1])[0, 1])) * n / (n + Z * Z) if varies else 0.0
    sizes = _unit_sizes(sides[0], clusters)
    changed = int(np.count_nonzero(gaps[0] != gaps[1]))
    unobserved = intervals.unobserved_variance(sizes / sizes.sum(), changed, 1.0)
    return intervals.difference_interval(values, (base, tuned), correlation, unobserved)


def _change_on_log_scale(
    spec: MetricSpec, sides: tuple[Floats, Floats], values: Interval, clusters: Ints | None, seed: int
) -> Interval:
    """The interval of the change of a metric without an upper bound, which is skewed as those of both models are."""
    width = sides[0].shape[1]
    pairs, counts = independent_units(np.hstack(sides), clusters)
    jackknife, derivatives, variance = _leave_out(
        spec, [pairs[:, :width], pairs[:, width:]], counts, np.empty(0), clusters=clusters, seed=seed
    )
    errors = [math.sqrt(jackknife.variance(side.by_unit)) for side in derivatives]
    product = errors[0] * errors[1]
    correlation = (errors[0] ** 2 + errors[1] ** 2 - variance) / (2 * product) if product > 0 else 0.0
    base, tuned = (
        _log_interval(spec, value, error, _dof_by_length(side, clusters))
        for value, error, side in zip(values, errors, sides, strict=True)
    )
    sizes = _unit_sizes(sides[0], clusters)
    changed = jackknife.changed_count(derivatives[1].by_unit - derivatives[0].by_unit)
    largest = max(implementation(spec).large_value, *values)
    unobserved = intervals.unobserved_variance(sizes / sizes.sum(), changed, largest)
    return intervals.difference_interval(values, (base, tuned), correlation, unobserved)


def _log_interval(spec: MetricSpec, value: float, error: float, dof: float) -> Interval:
    """The interval of nats a unit of text, on the scale of their logarithm, as the metric's own values.

    Args:
        spec: perplexity, the exponential of nats a token, or bits a byte.
        value: the metric, above its lower end.
        error: the standard error of the value.
        dof: degrees of freedom of that error.
    """
    quantile = intervals.t_quantile(dof)
    if spec.entry.low == 0:
        factor = math.exp(quantile * error / value)
        return value / factor, value * factor
    nats = math.log(value)
    factor = math.exp(min(quantile * error / (value * nats), _LARGEST_EXPONENT))
    return math.exp(nats / factor), math.exp(min(nats * factor, _LARGEST_EXPONENT))


def _dof_by_length(statistics: Floats, clusters: Ints | None) -> float:
    """Degrees of freedom of a ratio of sums: a few long texts count as few, whatever the number of short ones."""
    lengths = statistics[:, 1]
    weights = lengths if clusters is None else np.bincount(clusters, lengths).astype(np.float64)
    return max(intervals.effective_size(weights) - 1, 1.0)


def _confidence_bins(spec: MetricSpec, statistics: Floats, clusters: Ints | None) -> ConfidenceBins:
    """Items by bin. Items in clusters count as fewer, by how much clustering inflates the variance of their gap."""
    confidence, right = statistics.T
    count = float(len(statistics))
    if clusters is not None:
        gaps = confidence - right - float((confidence - right).mean())
        sums = np.bincount(clusters, gaps)
        independent = float(gaps @ gaps)
        count = count / max(1.0, float(sums @ sums) / independent) if independent > 0 else float(len(sums))
    return ConfidenceBins.of(confidence, right, ece_bins(spec, statistics), count=count)


def _leave_out(
    spec: MetricSpec,
    sides: Sequence[Floats],
    counts: Ints,
    pseudo_weights: Floats,
    *,
    clusters: Ints | None,
    seed: int,
) -> tuple[Jackknife, list[JackknifeDerivatives], float]:
    """Each side's derivatives by units, and the variance of the value, or of the difference of two.

    `pseudo_weights` are the weights of the last rows, which are pseudo-items.
    """
    if clusters is not None:
        first = int(clusters.max()) + 1
        counts = np.ones(first, np.int64)
        clusters = np.concatenate((clusters, np.arange(first, first + len(pseudo_weights))))
    metric_implementation = implementation(spec)
    estimators = [by_cluster(metric_implementation.estimator(spec, side), clusters) for side in sides]
    only_sums = all(isinstance(estimator, SumEstimator) for estimator in estimators)
    jackknife = Jackknife(np.concatenate((counts, pseudo_weights)), _rng(spec, seed), only_sums=only_sums)
    derivatives = [jackknife.derivatives(estimator) for estimator in estimators]
    if metric_implementation.smooth:
        base = derivatives[0].by_unit if len(derivatives) > 1 else 0.0
        return jackknife, derivatives, jackknife.variance(derivatives[-1].by_unit - base)
    values = bootstrap.resample(
        lambda weights: estimators[-1](weights) - (estimators[0](weights) if len(estimators) > 1 else 0.0),
        counts,
        rng=_rng(spec, seed),
    )
    n = int(counts.sum())
    return jackknife, derivatives, float(np.nanvar(values)) * n / (n - 1)


def _unit_sizes(statistics: Floats, clusters: Ints | None) -> Floats:
    """How many items each independent unit has."""
    return np.ones(len(statistics)) if clusters is None else np.bincount(clusters).astype(np.float64)


def _rng(spec: MetricSpec, seed: int) -> np.random.Generator:
    return seeds.generator(seed, "interval", spec.text)
