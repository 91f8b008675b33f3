"""What stands behind a metric's name: rows in, one line of numbers an item out, and lines to a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tutelage.metrics.catalogue import MetricSpec, Option
from tutelage.metrics.score import Row
from tutelage.metrics.stats.bootstrap import SumEstimator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Estimator = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class ItemStatistics:
    """What a metric counted in the rows.

    Attributes:
        rows: for each counted item the index of its row, int64 of shape (n,).
        items: the metric on each item alone, float64 of shape (n,), NaN where it has none.
        lines: all that the value depends on, float64 of shape (n, k), one line an item.
        note: what a foreign program adds to the signature.
    """

    rows: Ints
    items: Floats
    lines: Floats
    note: str = ""


@dataclass(slots=True)
class ScoringBatch:
    """What the metrics of one call share, so that texts are tokenised and scored once."""

    rows: Sequence[Row]
    spec: Sequence[MetricSpec]
    made: dict[Any, Any] = field(default_factory=dict)


def ratio(sums: Floats) -> Floats:
    """First sum over the second, (b, 2) to (b,); NaN where there is nothing to divide by."""
    top, bottom = sums[..., 0], sums[..., 1]
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)


def of_sums(combine: Callable[[Floats], Floats]) -> Callable[[MetricSpec, Floats], Estimator]:
    """The way from lines to values for a metric that is a function of the lines' sum."""
    return lambda _asked, lines: SumEstimator(combine, lines)


ratio_of_sums = of_sums(ratio)


@dataclass(frozen=True, slots=True, eq=False)
class PseudoItems:
    """Items that nobody saw, of each class: they keep a class of few items, all alike, from looking certain.

    Attributes:
        wrong, right: a line of a wrong and of a right item of each class, float64 of shape (classes, k).
        of: the class of each line that was counted, int64 of shape (m,); None when a line is of several.
    """

    wrong: Floats
    right: Floats
    of: Ints | None = None


def _all_items(_asked: MetricSpec, n: int) -> float:
    return n


@dataclass(frozen=True, slots=True)
class MetricImplementation:
    """Metrics that are counted alike.

    Attributes:
        count: rows to lines.
        weigh: for given lines, float64 of shape (m, k), the function that takes how often each is drawn, float64 of
            shape (b, m), to the metric's values, shape (b,). A value, its interval and its test all go through it.
        scale: where an interval is symmetric up to its range: on the metric's own scale (`range`), on that of its
            logarithm, or on that of Fisher's z.
        unseen: for given lines, the items of each class that nobody saw; None when the metric has no classes.
        size: on how many of n items the value rests.
        most: a large value of an item, for metrics without an upper bound.
        smooth: whether one item more or less changes the value by little, as the jackknife needs it.
    """

    count: Callable[[ScoringBatch, MetricSpec], ItemStatistics]
    weigh: Callable[[MetricSpec, Floats], Estimator] = ratio_of_sums
    scale: Literal["range", "log", "fisher", "calibration"] = "range"
    unseen: Callable[[MetricSpec, Floats], PseudoItems | None] = lambda _asked, _lines: None
    size: Callable[[MetricSpec, int], float] = _all_items
    most: float = 1.0
    smooth: bool = True


def of_means(items: Floats, rows: Ints | None = None, note: str = "") -> ItemStatistics:
    """What a metric counted that is the mean of its items' values."""
    at = np.arange(len(items)) if rows is None else rows
    return ItemStatistics(at, items, np.stack([items, np.ones(len(items))], axis=1), note)


def implementation(spec: MetricSpec) -> MetricImplementation:
    """The family of a metric; its module is imported when it is first asked for."""
    name = spec.entry.implementation
    found: MetricImplementation = getattr(import_module(f"tutelage.metrics.{_HOME[name]}"), name)
    return found


_MODULES = {
    "answers": "exact squad_em token_f1 bbh whole_questions",
    "calibration": "brier ece selective_accuracy selective_area",
    "choices": "choice_accuracy",
    "correlation": "pearson spearman",
    "entities": "entity_f",
    "facts": "states_fact rightly_refuses wrongly_refuses",
    "labels": "label_f balanced_accuracy mcc",
    "likelihood": "perplexity bits_per_byte",
    "rouge.family": "rouge",
    "translation": "bleu sentence_bleu chrf ter",
}
_HOME = {name: module for module, held in _MODULES.items() for name in held.split()}


def same_options(left: Mapping[str, Option], right: Mapping[str, Option], *, but: str) -> bool:
    """Whether two metrics were asked for with the same options, one left out."""
    return {k: v for k, v in left.items() if k != but} == {k: v for k, v in right.items() if k != but}
