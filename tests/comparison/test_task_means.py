"""Tasks summed up: values by hand, coverage by simulation, and what cannot be averaged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tutelage.comparison.task_comparison import PairedScores
from tutelage.comparison.task_means import mean_over_tasks
from tutelage.metrics.score import ItemScores, Score


def scored(items, value=None, *, higher=True):
    items = np.asarray(items, np.float64)
    mean = float(items.mean()) if value is None else value
    score = Score(mean, mean, mean, len(items), "test")
    return ItemScores("accuracy", score, tuple(range(len(items))), items, items[:, None], higher)


def measured(base, tuned, **more):
    return PairedScores("accuracy", {"accuracy": scored(base, **more)}, {"accuracy": scored(tuned, **more)})


def test_each_task_counts_alike_and_the_interval_is_the_stratified_one():
    first = measured([0, 0, 1, 0, 1, 0], [1, 0, 1, 1, 1, 0])
    second = measured([1, 1, 0, 1], [1, 0, 0, 1])
    group = mean_over_tasks("both", {"a": first, "b": second})
    assert group.tasks == ("a", "b")
    assert group.base.value == pytest.approx((2 / 6 + 3 / 4) / 2)
    assert group.tuned.value == pytest.approx((4 / 6 + 2 / 4) / 2)
    changes = [np.array([1, 0, 0, 1, 0, 0]), np.array([0, -1, 0, 0])]
    parts = [one.var(ddof=1) / len(one) for one in changes]
    freedom = sum(parts) ** 2 / sum(p**2 / (len(c) - 1) for p, c in zip(parts, changes, strict=True))
    # Tango's half width for no change of ten items, whose mean square share stands for 1 / 10, as a standard error; three
    # items changed, so a quarter of its square. It is no estimate: Welch's degrees of freedom.
    weight = np.sqrt((6 / 12**2 + 4 / 8**2) / 10)
    unseen = (1.96 * weight / (1 + 1.96**2 * weight)) ** 2 / 4
    variance = sum(parts) / 4
    freedom *= ((variance + unseen) / variance) ** 2
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance + unseen)
    assert group.difference.value == pytest.approx((2 / 6 - 1 / 4) / 2)
    assert group.difference.high - group.difference.value == pytest.approx(half, rel=1e-4)  # 1.96 is rounded
    assert group.difference.n == 10


def test_intervals_hold_the_true_mean_and_p_raises_no_false_alarm():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.1, 0.9, 12)
    held = alarms = 0
    for seed in range(300):
        base = [rng.random(10) < rate for rate in rates]
        tuned = [rng.random(10) < rate for rate in rates]
        pairs = {str(n): measured(b, t) for n, (b, t) in enumerate(zip(base, tuned, strict=True))}
        group = mean_over_tasks("all", pairs, seed=seed)
        held += group.tuned.low <= rates.mean() <= group.tuned.high
        alarms += group.p < 0.05
    assert 276 <= held <= 297  # 285 of 300; 0.95 to about four standard errors below, two and a half above
    assert alarms <= 30  # 15 expected, four standard errors above


def test_what_is_no_mean_of_its_items_is_left_out_and_named():
    good = measured([0, 1], [1, 1])
    corpus = PairedScores("bleu", {"bleu": scored([0.2, 0.4], 0.7)}, {"bleu": scored([0.2, 0.4], 0.7)})
    group = mean_over_tasks("some", {"good": good, "corpus": corpus})
    assert (group.tasks, group.without) == (("good",), ("corpus",))
    assert mean_over_tasks("none", {"corpus": corpus}) is None


def test_where_less_is_better_the_mean_turns_it_around():
    group = mean_over_tasks("errors", {"a": measured([1, 1, 0], [0, 0, 0], higher=False)})
    assert group.difference.value == pytest.approx(2 / 3)
