"""Many tasks summed up: the mean of their primary metrics before and after, each task counting alike.

The tasks are fixed and their items are drawn: the interval sums the tasks' own variances (stratified sampling; Cochran,
Sampling Techniques, 1977, section 5.4, with Satterthwaite's degrees of freedom), and p exchanges the signs of single
items' changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tutelage.comparison.outcome import PairedScores
from tutelage.core import seeds
from tutelage.metrics.score import ItemScores
from tutelage.metrics.stats import intervals
from tutelage.metrics.stats.paired_tests import sign_flips

Floats = npt.NDArray[np.float64]
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over tasks with its 95 % interval; `n` counts items."""

    value: float
    low: float
    high: float
    n: int

    def as_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks summed up.

    Attributes:
        name: what they have in common.
        tasks: those in the mean.
        without: those whose primary metric is no mean of its items, or has no scale of 0 to 1; they are left out.
        base, tuned: the mean of both models.
        difference: tuned minus base.
        p: of the difference, two-sided and paired.
    """

    name: str
    tasks: tuple[str, ...]
    without: tuple[str, ...]
    base: Mean
    tuned: Mean
    difference: Mean
    p: float

    def as_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        return {
            "tasks": list(self.tasks),
            "without": list(self.without),
            "base": self.base.as_json(),
            "tuned": self.tuned.as_json(),
            "difference": {**self.difference.as_json(), "p": self.p},
        }


def mean_over_tasks(name: str, measured: Mapping[str, PairedScores], *, seed: int = 0) -> Group | None:
    """Sum up some tasks.

    Args:
        name: what they have in common.
        measured: both models' scores by task.
        seed: of the test.

    Returns:
        Their means; None when no task has a primary metric that can be averaged.
    """
    able = {task: pair for task, one in measured.items() if (pair := _items(one)) is not None}
    if not able:
        return None
    base, tuned = ([pair[side] for pair in able.values()] for side in (0, 1))
    changes = [after - before for before, after in zip(base, tuned, strict=True)]
    weighed = np.concatenate([one / (len(one) * len(changes)) for one in changes])
    p = sign_flips(weighed, rng=seeds.generator(seed, "group", name))
    difference, p = _change(changes, p)
    return Group(
        name=name,
        tasks=tuple(able),
        without=tuple(task for task in measured if task not in able),
        base=_mean(base),
        tuned=_mean(tuned),
        difference=difference,
        p=p,
    )


def _items(one: PairedScores) -> tuple[Floats, Floats] | None:
    """Both models' item values, toward 1 is better; None where their mean is not the metric."""
    sides = (one.base.get(one.primary), one.tuned.get(one.primary))
    found: list[Floats] = []
    for side in sides:
        if side is None or not _is_mean(side):
            return None
        found.append(side.items if side.higher_is_better else 1 - side.items)
    return found[0], found[1]


def _is_mean(scored: ItemScores) -> bool:
    items = scored.items
    return bool(
        len(items)
        and np.isfinite(items).all()
        and abs(float(items.mean()) - scored.score.value) <= _SAME
        and items.min() >= 0
        and items.max() <= 1
    )


def _mean(values: Sequence[Floats]) -> Mean:
    """The mean of the tasks' means, with the score interval of a share."""
    centre, n = float(np.mean([one.mean() for one in values])), sum(map(len, values))
    variance, freedom = _variance(values, 1.0)
    alike = intervals.most_common_count(np.concatenate(values))
    factor, quantile = intervals.smoothed_factor(centre, variance, n, alike, freedom, low=0.0, high=1.0)
    low, high = intervals.score_interval(centre, factor, quantile, low=0.0, high=1.0)
    return Mean(centre, low, high, n)


def _change(values: Sequence[Floats], p: float) -> tuple[Mean, float]:
    """The mean of the tasks' mean changes and its p, which agree about 0."""
    centre, n = float(np.mean([one.mean() for one in values])), sum(map(len, values))
    variance, freedom = _variance(values, 2.0)
    shares = np.concatenate([np.full(len(one), 1 / (len(one) * len(values))) for one in values])
    moved = sum(int(np.count_nonzero(one)) for one in values)
    unseen = intervals.unobserved_variance(shares, moved, 1.0)
    error, freedom = math.sqrt(variance + unseen), intervals.pooled_dof(variance, freedom, unseen)
    half = intervals.t_quantile(freedom) * error
    ends = max(-1.0, centre - half), min(1.0, centre + half)
    low, high, p = intervals.reconcile(centre, ends, p, intervals.t_test(centre, error, freedom))
    return Mean(centre, low, high, n), p


def _variance(values: Sequence[Floats], width: float) -> tuple[float, float]:
    """The variance of the mean of the tasks' means, and its degrees of freedom.

    A task with one item lends no spread: it gets the largest that values in a range of this width can have.
    """
    parts = [float(one.var(ddof=1)) / len(one) if len(one) > 1 else width**2 / 4 for one in values]
    total = sum(parts)
    if total == 0.0:
        return 0.0, max(1.0, sum(map(len, values)) - 1.0)
    below = sum(part**2 / max(len(one) - 1, 1) for part, one in zip(parts, values, strict=True))
    return total / len(values) ** 2, max(1.0, total**2 / below)
