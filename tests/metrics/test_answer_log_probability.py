"""Losses in nats: Student's paired test, and what few, unchanged or impossible items allow to say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from tutelage.core.errors import InputError
from tutelage.metrics.answer_log_probability import AnswerLogProbabilities, loss_in_nats


def sides(n, loss, *, spread=0.3, seed=0, clusters=None):
    rng = np.random.default_rng(seed)
    base = -rng.exponential(1.0, n)
    tuned = np.minimum(base - loss + spread * rng.standard_normal(n), -1e-9)
    return AnswerLogProbabilities(base, clusters), AnswerLogProbabilities(tuned, clusters)


def test_the_loss_is_a_mean_with_students_interval_and_test():
    base, tuned = sides(200, 0.05)
    loss = loss_in_nats(base, tuned)
    assert loss.value == pytest.approx((base.items - tuned.items).mean())
    assert (loss.base, loss.tuned) == pytest.approx((base.items.mean(), tuned.items.mean()))
    published = ttest_rel(base.items, tuned.items)
    ends = published.confidence_interval(0.95)
    # A little wider, by what no item has shown.
    assert (loss.low, loss.high) == pytest.approx((ends.low, ends.high), abs=2e-4)
    assert loss.low < ends.low < ends.high < loss.high
    assert loss.p == pytest.approx(published.pvalue, rel=0.05)
    shifted = ttest_rel(base.items, tuned.items + 0.1, alternative="less")
    assert loss.p_of_at_least(0.1) == pytest.approx(shifted.pvalue, rel=0.05)
    assert loss.p_of_at_least(loss.high) == pytest.approx(0.025)


def test_items_of_one_cluster_count_as_one():
    alone = loss_in_nats(*sides(60, 0.1))
    base, tuned = sides(60, 0.1)
    clusters = np.repeat(np.arange(60), 4)
    fourfold = loss_in_nats(
        *(AnswerLogProbabilities(np.repeat(side.items, 4), clusters) for side in (base, tuned))
    )
    assert fourfold.n == alone.n == 60
    assert fourfold.high == pytest.approx(alone.high, rel=0.02)


def test_unchanged_items_exclude_nothing_with_certainty():
    side, _ = sides(100, 0.0)
    loss = loss_in_nats(side, side)
    assert loss.value == 0
    assert loss.low < 0 < loss.high
    assert loss.p_of_at_least(0.01) > 0.05 > loss.p_of_at_least(0.2)


def test_an_answer_that_is_impossible_has_no_loss():
    base, tuned = sides(40, 0.0)
    tuned.items[3] = -np.inf
    with pytest.raises(InputError, match="probability 0") as caught:
        loss_in_nats(base, tuned)
    assert caught.value.found == "1 of 40 items"
