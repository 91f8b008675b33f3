"""Does a stated confidence mean what it says? Read from a row's field `confidence` (0 to 1).

A row is right when its field `correct` says so, or, without that field, when the prediction equals a reference.
A line is (confidence, right).
"""

from __future__ import annotations

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import Groups
from tutelage.metrics.implementation import (
    Estimator,
    Floats,
    Ints,
    ItemStatistics,
    MetricImplementation,
    ScoringBatch,
    of_means,
)
from tutelage.metrics.score import Row


def _count(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    lines = np.array([_line(row, index, spec) for index, row in enumerate(shared.rows)])
    return ItemStatistics(np.arange(len(lines)), np.full(len(lines), np.nan), lines)


def _count_brier(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    confidence, right = _count(shared, spec).lines.T
    return of_means((confidence - right) ** 2)


def _line(row: Row, index: int, spec: MetricSpec) -> tuple[float, float]:
    told = row.fields.get("confidence")
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told <= 1:
        raise InputError(
            f"{spec.text} needs a confidence",
            where=f"row {index + 1}, field confidence",
            found=repr(told) if "confidence" in row.fields else "no such field",
            expected="a number from 0 to 1",
        )
    right = row.fields.get("correct", row.prediction.strip() in {own.strip() for own in row.references})
    if not isinstance(right, bool):
        raise InputError(
            "correct is true or false", where=f"row {index + 1}, field correct", found=repr(right)[:80]
        )
    return float(told), float(right)


def _weigh_ece(spec: MetricSpec, lines: Floats) -> Estimator:
    confidence, right = lines.T
    bins = int(spec.options["bins"])
    gap = confidence - right

    def fixed(weights: Floats) -> Floats:
        error: Floats = np.abs(width.sums(weights * gap)).sum(1) / weights.sum(1)
        return error

    def moving(weights: Floats) -> Floats:
        edges = _mass_edges(confidence, weights, bins)
        place = (edges[:, None, :] < confidence[None, :, None]).sum(2)
        found = np.zeros(len(weights))
        for own in range(bins):
            found += np.abs((weights * gap * (place == own)).sum(1))
        error: Floats = found / weights.sum(1)
        return error

    if spec.options["binning"] == "mass":
        return moving
    width = Groups(np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left"), bins)
    return fixed


def _mass_edges(confidence: Floats, weights: Floats, bins: int) -> Floats:
    """Where bins of equal size end: half-way between the last of one and the first of the next, shape (b, bins - 1).

    The first bins are one larger when the items do not divide evenly; with fewer items than bins each gets its own.
    """
    order = np.argsort(confidence, kind="stable")
    ordered, reached = confidence[order], np.cumsum(weights[:, order], axis=1)
    n = reached[:, -1:].astype(np.int64)
    numbers = np.arange(1, bins)
    ends = np.minimum(numbers * (n // bins) + np.minimum(numbers, n % bins), n)
    last = _at(ordered, reached, ends)
    following = _at(ordered, reached, np.minimum(ends + 1, n))
    return np.where(ends < n, (last + following) / 2, np.inf)


def _at(ordered: Floats, reached: Floats, places: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    """The value at the given places (from 1) of each resample's ordered values."""
    rows = [np.searchsorted(own, place, side="left") for own, place in zip(reached, places, strict=True)]
    found: Floats = ordered[np.minimum(np.array(rows), len(ordered) - 1)]
    return found


class _Ranking:
    """Items from most to least confident, equal confidence together."""

    def __init__(self, lines: Floats) -> None:
        different, place = np.unique(-lines[:, 0], return_inverse=True)
        self.groups, self.right = Groups(place, len(different)), lines[:, 1]

    def __call__(self, weights: Floats) -> tuple[Floats, Floats]:
        """Items and right items of each group, each float64 of shape (b, groups)."""
        return self.groups.sums(weights), self.groups.sums(weights * self.right)


def _weigh_selective(spec: MetricSpec, lines: Floats) -> Estimator:
    ranking, coverage = _Ranking(lines), float(spec.options["coverage"])

    def value(weights: Floats) -> Floats:
        size, right = ranking(weights)
        before = np.cumsum(size, axis=1) - size
        asked_for = np.maximum(np.ceil(coverage * weights.sum(1, keepdims=True) - 1e-9), 1)
        taken = np.clip(asked_for - before, 0, size)
        share = np.divide(taken, size, out=np.zeros_like(size), where=size > 0)
        accuracy: Floats = (share * right).sum(1) / taken.sum(1)
        return accuracy

    return value


def _weigh_area(_asked: MetricSpec, lines: Floats) -> Estimator:
    ranking = _Ranking(lines)

    def value(weights: Floats) -> Floats:
        size, right = ranking(weights)
        n = weights.sum(1)
        harmonic = np.concatenate(([0.0], np.cumsum(1 / np.arange(1, int(n.max()) + 1))))
        after = np.cumsum(size, axis=1).astype(np.int64)
        before = after - size.astype(np.int64)
        rate = np.divide(right, size, out=np.zeros_like(size), where=size > 0)
        earlier = np.cumsum(right, axis=1) - right
        areas = rate * size + (earlier - before * rate) * (harmonic[after] - harmonic[before])
        area: Floats = areas.sum(1) / n
        return area

    return value


brier = MetricImplementation(_count_brier)


def too_few_for_ece(spec: MetricSpec, n: int) -> bool:
    """Whether bins of equally many items hold fewer than three each, which say nothing about how far off they are."""
    return spec.options["binning"] == "mass" and n < 3 * int(spec.options["bins"])


def ece_places(spec: MetricSpec, lines: Floats) -> Ints:
    """The bin of each item, as `ece` counts them."""
    bins = int(spec.options["bins"])
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    if spec.options["binning"] == "mass":
        edges = _mass_edges(lines[:, 0], np.ones((1, len(lines))), bins)[0]
    return np.searchsorted(edges, lines[:, 0], side="left")


ece = MetricImplementation(_count, _weigh_ece, scale="calibration")
selective_accuracy = MetricImplementation(
    _count,
    _weigh_selective,
    size=lambda spec, n: max(1.0, float(spec.options["coverage"]) * n),
    smooth=False,
)
# The first of n items counts in every average, the last in one: their squared weights sum up to 2 / n.
selective_area = MetricImplementation(_count, _weigh_area, size=lambda _asked, n: max(1.0, n / 2))
