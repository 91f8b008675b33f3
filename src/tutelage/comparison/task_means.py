"""Many tasks as one number: the mean of their primary metrics for both models, each task with the same weight.

The tasks are fixed and their items are drawn: the interval sums the tasks' own variances (stratified sampling; Cochran,
Sampling Techniques, 1977, section 5.4, with Satterthwaite's degrees of freedom), and p exchanges the signs of single
items' changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tutelage.comparison.task_comparison import PairedScores
from tutelage.core import seeds
from tutelage.metrics import ItemScores
from tutelage.metrics.catalogue import parse
from tutelage.metrics.stats import intervals
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.paired_tests import sign_flips

BEST_ON_VALIDATION = "best on validation"
"""The part of a task that is asked in all wordings: its test rows in the wording that is best on its validation rows."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A mean over tasks with its 95 % interval; `n` counts items."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class TaskMeans:
    """The means of a group of tasks.

    Attributes:
        name: of the group.
        tasks: those in the mean.
        without: those left out, because their primary metric is no mean of its items (or of its clusters of items), has no
            scale of 0 to 1 or does not get better toward one of its ends.
        base, tuned: the mean of both models.
        difference: tuned minus base.
        p: of the difference, two-sided and paired.
    """

    name: str
    tasks: tuple[str, ...]
    without: tuple[str, ...]
    base: MeanEstimate
    tuned: MeanEstimate
    difference: MeanEstimate
    p: float

    def as_json(self) -> dict[str, Any]:
        """The means as in results.json."""
        return {
            "tasks": list(self.tasks),
            "without": list(self.without),
            "base": asdict(self.base),
            "tuned": asdict(self.tuned),
            "difference": {**asdict(self.difference), "p": self.p},
        }


def mean_over_tasks(name: str, scores: Mapping[str, PairedScores], *, seed: int = 0) -> TaskMeans | None:
    """Average the primary metrics of some tasks.

    Args:
        name: of the group.
        scores: both models' scores by task.
        seed: of the test.

    Returns:
        Their means; None when no task has a primary metric that can be averaged.
    """
    items = {task: pair for task, paired in scores.items() if (pair := _goodness(paired)) is not None}
    if not items:
        return None
    base, tuned = ([pair[side] for pair in items.values()] for side in (0, 1))
    changes = [tuned_items - base_items for base_items, tuned_items in zip(base, tuned, strict=True)]
    weighted = np.concatenate([change / (len(change) * len(changes)) for change in changes])
    p = sign_flips(weighted, rng=seeds.generator(seed, "group", name))
    difference, p = _difference(changes, p)
    return TaskMeans(
        name=name,
        tasks=tuple(items),
        without=tuple(task for task in scores if task not in items),
        base=_mean(base),
        tuned=_mean(tuned),
        difference=difference,
        p=p,
    )


def _goodness(paired: PairedScores) -> tuple[Floats, Floats] | None:
    """Both models' values of independent items, turned so that 1 is best; None where their mean is not the metric.

    Items of one cluster, such as the wordings of a row, are one value, their mean.
    """
    sides = paired.base[paired.primary], paired.tuned[paired.primary]
    if parse(paired.primary).entry.better not in ("higher", "lower") or not all(map(_is_mean, sides)):
        return None
    base, tuned = (side.items if side.higher_is_better else 1 - side.items for side in sides)
    clusters = sides[0].clusters
    if clusters is None:
        return base, tuned
    sizes = np.bincount(clusters)
    if sizes.min() != sizes.max():  # the mean of the clusters' means is another number
        return None
    return np.bincount(clusters, base) / sizes, np.bincount(clusters, tuned) / sizes


def _is_mean(scores: ItemScores) -> bool:
    items = scores.items
    return bool(
        len(items)
        and np.isfinite(items).all()
        and abs(float(items.mean()) - scores.score.value) <= _ROUNDING
        and items.min() >= 0
        and items.max() <= 1
    )


def _mean(values: Sequence[Floats]) -> MeanEstimate:
    """The mean of the tasks' means, with the score interval of a share."""
    mean, n = float(np.mean([task.mean() for task in values])), sum(map(len, values))
    variance, dof = _variance(values, 1.0)
    modal_count = intervals.most_common_count(np.concatenate(values))
    factor, quantile = intervals.smoothed_factor(mean, variance, n, modal_count, dof, low=0.0, high=1.0)
    low, high = intervals.score_interval(mean, factor, quantile, low=0.0, high=1.0)
    return MeanEstimate(mean, low, high, n)


def _difference(changes: Sequence[Floats], p: float) -> tuple[MeanEstimate, float]:
    """The mean of the tasks' mean changes and its p, which agree about 0."""
    mean, n = float(np.mean([task.mean() for task in changes])), sum(map(len, changes))
    variance, dof = _variance(changes, 2.0)
    shares = np.concatenate([np.full(len(task), 1 / (len(task) * len(changes))) for task in changes])
    changed = sum(int(np.count_nonzero(task)) for task in changes)
    unobserved = intervals.unobserved_variance(shares, changed, 1.0)
    error, dof = math.sqrt(variance + unobserved), intervals.pooled_dof(variance, dof, unobserved)
    half = intervals.t_quantile(dof) * error
    ends = max(-1.0, mean - half), min(1.0, mean + half)
    low, high, p = intervals.reconcile(mean, ends, p, intervals.t_test(mean, error, dof))
    return MeanEstimate(mean, low, high, n), p


def _variance(values: Sequence[Floats], width: float) -> tuple[float, float]:
    """The variance of the mean of the tasks' means, and its degrees of freedom.

    A task with one item shows no spread: it gets the largest that values in a range of this width can have.
    """
    parts = [float(task.var(ddof=1)) / len(task) if len(task) > 1 else width**2 / 4 for task in values]
    total = sum(parts)
    if total == 0.0:
        return 0.0, max(1.0, sum(map(len, values)) - 1.0)
    denominator = sum(part**2 / max(len(task) - 1, 1) for part, task in zip(parts, values, strict=True))
    return total / len(values) ** 2, max(1.0, total**2 / denominator)
