"""Intervals cover and tests keep quiet: a small look in every run, the promised sizes in the long one."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from simulations import rates, searches
from simulations.worlds import CALIBRATED, WORLDS
from tutelage.metrics.catalogue import catalogue

BY_NAME = {f"{world.metric}, {world.description}": world for world in WORLDS}
# Every metric is looked at; of worlds that differ in classes or bins only the first.
QUICK = {
    world.metric: world for world in reversed(WORLDS) if ":" not in world.metric or "binary" in world.metric
}
LOOKS = 4  # a tenth of the true values, so 40 in all


@pytest.mark.parametrize("metric", sorted(QUICK))
def test_an_interval_covers_in_a_small_look(metric):
    found = rates.coverage(QUICK[metric], 30, LOOKS).mean
    # An interval that covers in 93 of 100 cases falls below this once in 100,000 looks; one that covers in 60 nearly always.
    assert found.count >= binom.ppf(1e-5, 10 * LOOKS, 0.93), found


def test_every_statistic_that_is_no_mean_of_items_is_simulated():
    # Means over tasks are simulated in tests/benchmarks/test_task_score_coverage.py, lengths as ratios to those of references.
    elsewhere = {"task_score", "answer_length"}
    others = {entry.implementation for entry in catalogue().values() if entry.kind == "other"}
    assert others - {world.spec.entry.implementation for world in WORLDS} == elsewhere


@pytest.mark.parametrize("n", [10, 30, 100])
def test_the_calibration_error_of_a_calibrated_model_is_not_shown_to_be_one(n):
    found = rates.calibrated_coverage(CALIBRATED, n, 60).mean
    assert found.count >= binom.ppf(1e-5, 60, 0.95), (
        found
    )  # 98 by construction, and 0 to 50 by a plain bootstrap


@pytest.mark.parametrize("metric", ["accuracy", "rougeL", "balanced_accuracy", "pearson"])
def test_the_interval_of_a_difference_covers_in_a_small_look(metric):
    found = rates.change_coverage(QUICK[metric], 30, LOOKS).mean
    assert found.count >= binom.ppf(1e-5, 10 * LOOKS, 0.93), found


@pytest.mark.parametrize("test", list(rates.ALARMS))
def test_no_test_cries_wolf_in_a_small_look(test):
    for rate in rates.false_alarms(test, 200, sizes=(30, 100)):
        assert rate.share < 0.12, rate


@pytest.mark.parametrize(
    ("n", "repetitions"), [(200, 300), (1000, 300), pytest.param(1000, 4000, marks=pytest.mark.long)]
)
def test_a_search_seldom_offers_what_is_over_budget(n, repetitions):
    # At 0.5 exactly the budget is lost, where the test has its level.
    over, nothing = searches.over_budget(n, repetitions)
    assert over.count <= binom.ppf(1 - 1e-5, repetitions, 0.05), over
    if n == 1000:
        assert nothing.share < 0.5


def test_the_same_seed_gives_the_same_rates():
    first, again = (list(rates.clustered_coverage(20)) for _ in range(2))
    assert first == again


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_interval_covers_as_promised(name):
    for n in (10, 20, 30, 100, 300, 1000):
        found = rates.coverage(BY_NAME[name], n, 50)
        mean, lowest = found.mean, found.lowest
        # Bounds that a rate of 92, 93, 97 or 88 % passes but once in 10,000 (and once for each tenth).
        assert mean.count >= binom.ppf(1e-4, mean.repetitions, 0.93 if n >= 30 else 0.92), mean
        if n >= 30:
            assert mean.count <= binom.isf(1e-4, mean.repetitions, 0.97), mean
            assert lowest.count >= binom.ppf(1e-5, lowest.repetitions, 0.88), lowest


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_interval_of_a_difference_covers_as_promised(name):
    for n in (10, 30, 100, 300):
        found = rates.change_coverage(BY_NAME[name], n, 10).mean
        assert found.count >= binom.ppf(1e-4, found.repetitions, 0.93 if n >= 30 else 0.92), found


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_clustered_means_cover_from_30_clusters_on():
    for rate in rates.clustered_coverage(1000, (30, 100, 300)):
        assert binom.ppf(1e-4, 1000, 0.93) <= rate.count <= binom.isf(1e-4, 1000, 0.97), rate


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("test", list(rates.ALARMS))
def test_false_alarms_stay_below_the_promised_bound(test):
    loud = [rate for rate in rates.false_alarms(test, 10_000) if rate.bound >= 0.065]
    assert not loud
