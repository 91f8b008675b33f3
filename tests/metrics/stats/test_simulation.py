"""Intervals cover and tests keep quiet: a small look in every run, the promised sizes in the long one."""

from __future__ import annotations

import pytest

from tutelage.metrics.stats import simulation


def test_wilson_covers_on_average_over_p():
    found = list(simulation.wilson_coverage(20_000))
    for n in (30, 100, 1000):
        own = [one.share for one in found if one.n == n]
        assert len(own) == 3
        assert 0.93 <= sum(own) / 3 <= 0.97


@pytest.mark.parametrize("metric", ["f1", "mcc", "bleu"])
def test_a_bootstrap_covers_roughly_in_a_small_look(metric):
    for one in simulation.bootstrap_coverage(metric, 150):
        if one.n <= 300 and one.n >= 100:
            assert 0.88 <= one.share <= 0.99, one


@pytest.mark.parametrize("test", list(simulation.ALARMS))
def test_no_test_cries_wolf_in_a_small_look(test):
    for one in simulation.false_alarms(test, 200, sizes=(30, 100)):
        assert one.share < 0.12, one


def test_the_same_seed_gives_the_same_rates():
    first, again = (list(simulation.clustered_coverage(20)) for _ in range(2))
    assert first == again


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_clustered_means_and_bootstraps_cover_at_n_of_100_and_more():
    found = [*simulation.clustered_coverage(2000)]
    for metric in ("f1", "mcc", "bleu"):
        found += simulation.bootstrap_coverage(metric, 2000)
    outside = [one for one in found if one.n >= 100 and not 0.92 <= one.share <= 0.97]
    assert not outside


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("test", list(simulation.ALARMS))
def test_false_alarms_stay_below_the_promised_bound(test):
    loud = [one for one in simulation.false_alarms(test, 10_000) if one.bound >= 0.065]
    assert not loud
