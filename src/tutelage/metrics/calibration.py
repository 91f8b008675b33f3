"""Whether a stated confidence means what it says. Read from a row's field `confidence` (0 to 1).

A row is right when its field `correct` says so, or, without that field, when the prediction equals a reference.
The statistics of an item are (confidence, right).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import GroupSums
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import equals_reference, field_error
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats, Ints
from tutelage.metrics.stats.estimators import Estimator


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    pairs = np.array([_confidence_and_right(spec, row, index) for index, row in enumerate(batch.rows)])
    return ItemStatistics(np.arange(len(pairs)), np.full(len(pairs), np.nan), pairs)


def _count_brier(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    confidence, right = _count(batch, spec).statistics.T
    return of_means((confidence - right) ** 2)


def _confidence_and_right(spec: MetricSpec, row: Row, index: int) -> tuple[float, float]:
    confidence, where = row.fields.get("confidence"), f"row {index + 1}"
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise field_error(f"{spec.text} needs a confidence", row, where, "confidence", "a number from 0 to 1")
    right = row.fields.get("correct", equals_reference(row.prediction, row))
    if not isinstance(right, bool):
        raise field_error("correct has the wrong type", row, where, "correct", "true or false")
    return float(confidence), float(right)


def _ece(spec: MetricSpec, statistics: Floats) -> Estimator:
    confidence, right = statistics.T
    bins = int(spec.options["bins"])
    gap = confidence - right

    def equal_width(weights: Floats) -> Floats:
        error: Floats = np.abs(sums(weights * gap)).sum(1) / weights.sum(1)
        return error

    def equal_mass(weights: Floats) -> Floats:
        edges = _equal_mass_edges(confidence, weights, bins)
        numbers = (edges[:, None, :] < confidence[None, :, None]).sum(2)
        gaps = (np.abs((weights * gap * (numbers == number)).sum(1)) for number in range(bins))
        error: Floats = sum(gaps) / weights.sum(1)
        return error

    if spec.options["binning"] == "mass":
        return equal_mass
    sums = GroupSums(ece_bins(spec, statistics), bins)
    return equal_width


def _equal_mass_edges(confidence: Floats, weights: Floats, bins: int) -> Floats:
    """The upper edges of bins of equally many items, float64 of shape (b, bins - 1).

    An edge is half-way between the last item of one bin and the first of the next. The first bins are one larger when
    the items do not divide evenly; with fewer items than bins each item has its own.
    """
    order = np.argsort(confidence, kind="stable")
    ordered, cumulative = confidence[order], np.cumsum(weights[:, order], axis=1)
    n = cumulative[:, -1:].astype(np.int64)
    numbers = np.arange(1, bins)
    ends = np.minimum(numbers * (n // bins) + np.minimum(numbers, n % bins), n)
    last = _order_statistic(ordered, cumulative, ends)
    following = _order_statistic(ordered, cumulative, np.minimum(ends + 1, n))
    return np.where(ends < n, (last + following) / 2, np.inf)


def _order_statistic(ordered: Floats, cumulative: Floats, ranks: Ints) -> Floats:
    """The values at the given ranks (from 1) of each resample, int64 of shape (b, ranks)."""
    places = [
        np.searchsorted(counts, rank, side="left") for counts, rank in zip(cumulative, ranks, strict=True)
    ]
    values: Floats = ordered[np.minimum(np.array(places), len(ordered) - 1)]
    return values


def _ranking(statistics: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Weights to items and right items of each group of equal confidence, the most confident first.

    Each is float64 of shape (b, groups).
    """
    distinct, groups = np.unique(-statistics[:, 0], return_inverse=True)
    sums, right = GroupSums(groups, len(distinct)), statistics[:, 1]
    return lambda weights: (sums(weights), sums(weights * right))


def _selective_accuracy(spec: MetricSpec, statistics: Floats) -> Estimator:
    ranking, coverage = _ranking(statistics), float(spec.options["coverage"])

    def value(weights: Floats) -> Floats:
        size, right = ranking(weights)
        preceding = np.cumsum(size, axis=1) - size
        quota = np.maximum(np.ceil(coverage * weights.sum(1, keepdims=True) - 1e-9), 1)
        answered = np.clip(quota - preceding, 0, size)
        share = np.divide(answered, size, out=np.zeros_like(size), where=size > 0)
        accuracy: Floats = (share * right).sum(1) / answered.sum(1)
        return accuracy

    return value


def _selective_area(_spec: MetricSpec, statistics: Floats) -> Estimator:
    ranking = _ranking(statistics)

    def value(weights: Floats) -> Floats:
        size, right = ranking(weights)
        n = weights.sum(1)
        # The accuracy on the k most confident items, summed over k through a group of equally confident ones at once:
        # right(k) grows evenly within the group, and the sums of 1 / k are differences of harmonic numbers.
        harmonic = np.concatenate(([0.0], np.cumsum(1 / np.arange(1, int(n.max()) + 1))))
        last = np.cumsum(size, axis=1).astype(np.int64)
        first = last - size.astype(np.int64)
        rate = np.divide(right, size, out=np.zeros_like(size), where=size > 0)
        right_before = np.cumsum(right, axis=1) - right
        areas = rate * size + (right_before - first * rate) * (harmonic[last] - harmonic[first])
        area: Floats = areas.sum(1) / n
        return area

    return value


def too_few_for_ece(spec: MetricSpec, n: int) -> bool:
    """Whether bins of equally many items hold fewer than three each, which say nothing about how far off they are."""
    return spec.options["binning"] == "mass" and n < 3 * int(spec.options["bins"])


def ece_bins(spec: MetricSpec, statistics: Floats) -> Ints:
    """The bin of each item, as `ece` counts them, int64 of shape (m,)."""
    bins = int(spec.options["bins"])
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    if spec.options["binning"] == "mass":
        edges = _equal_mass_edges(statistics[:, 0], np.ones((1, len(statistics))), bins)[0]
    return np.searchsorted(edges, statistics[:, 0], side="left")


brier = MetricImplementation(_count_brier)
ece = MetricImplementation(_count, _ece, scale="calibration")
selective_accuracy = MetricImplementation(
    _count,
    _selective_accuracy,
    effective_items=lambda spec, n: max(1.0, float(spec.options["coverage"]) * n),
    smooth=False,
)
# The first of n items counts in every average, the last in one: their squared weights sum up to 2 / n.
selective_area = MetricImplementation(
    _count, _selective_area, effective_items=lambda _spec, n: max(1.0, n / 2)
)
