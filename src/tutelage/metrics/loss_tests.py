"""Is a loss smaller than a margin? One-sided tests of non-inferiority of one model to another on the same rows."""

from __future__ import annotations

import math

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import parse
from tutelage.metrics.metric_intervals import change_interval
from tutelage.metrics.paired_difference import same_width
from tutelage.metrics.score import ItemScores
from tutelage.metrics.stats import intervals


def p_of_loss(base: ItemScores, tuned: ItemScores, margin: float, *, seed: int = 0) -> float:
    """The one-sided p of the hypothesis that a model lost at least `margin`.

    Right-or-wrong items get Tango's score test (T. Tango, "Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design", 1998), means of items Student's t with the standard error of the mean change,
    everything else a normal test with the standard error on the worse side of the change's 95 % interval.

    Args:
        base: the metric on the base model.
        tuned: the same metric on the other model, over the same rows.
        margin: the loss in units of the metric, 0 or more.
        seed: for intervals that draw random numbers.

    Returns:
        p: below 0.05, a loss of `margin` or more is excluded at 95 %. 1 for a metric that counts no row or has no value.

    Raises:
        InputError: the metric gets better toward neither end.
    """
    spec = parse(base.metric)
    if spec.entry.better not in ("higher", "lower"):
        raise InputError(
            "a loss needs a metric that gets better toward one end",
            where=base.metric,
            found=f"better: {spec.entry.better}",
            expected="higher or lower",
        )
    if base.score.n == 0:
        return 1.0
    sign = 1.0 if spec.entry.better == "higher" else -1.0
    value = sign * (tuned.score.value - base.score.value)
    if not math.isfinite(value):
        return 1.0
    if spec.entry.kind == "proportion" and base.clusters is None and not base.averaged:
        changes = sign * (tuned.items - base.items)
        gained, lost = int((changes > 0).sum()), int((changes < 0).sum())
        return _normal_tail(intervals.paired_proportions_score(gained, lost, len(changes), -margin))
    if spec.entry.kind == "other":
        sides = same_width(base.statistics, tuned.statistics)
        values = base.score.value, tuned.score.value
        (low, high), _ = change_interval(spec, sides, values, base.clusters, seed)
        worst = low if sign > 0 else -high
        error = (value - worst) / intervals.Z
        return _normal_tail(math.inf if error == 0 else (value + margin) / error)
    largest = [spec.entry.high - spec.entry.low]
    largest += [float(np.abs(side.items).max()) for side in (base, tuned) if side.averaged]
    error, dof = intervals.mean_change_error(tuned.items - base.items, base.clusters, largest=max(largest))
    return intervals.t_tail((value + margin) / error, dof)


def _normal_tail(z: float) -> float:
    """The probability that a standard normal number is above z."""
    return math.erfc(z / math.sqrt(2)) / 2
