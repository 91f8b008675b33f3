from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.mixture.epoch_order import EpochOrder, TaskRow, epoch_round_keys
from tutelage.mixture.feistel import permute

RECORDED = [(1, 3), (1, 4), (0, 0), (0, 2), (1, 0), (1, 1), (1, 2), (0, 1)]
SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)


@given(st.integers(1, 700), st.integers(0, 2**62), st.integers(0, 50))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_an_epoch_is_a_permutation(size, seed, epoch):
    keys = epoch_round_keys(seed, epoch)
    assert sorted(permute(size, keys, offset) for offset in range(size)) == list(range(size))


@given(SIZES, st.integers(0, 2**31), st.integers(0, 30))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_every_row_of_every_task_comes_once_an_epoch(sizes, seed, epoch):
    order = EpochOrder(seed, sizes)
    start = epoch * order.epoch_size
    places = [order.at(start + offset) for offset in range(order.epoch_size)]
    assert sorted(places) == [TaskRow(task, row) for task, size in enumerate(sizes) for row in range(size)]


def test_a_position_is_reached_without_the_ones_before_it():
    order = EpochOrder(7, [30, 12, 58])
    played = [order.at(position) for position in range(250)]
    assert [EpochOrder(7, (30, 12, 58)).at(position) for position in reversed(range(250))] == played[::-1]
    far = EpochOrder(7, [100_000_000, 1]).at(10**12)
    assert 0 <= far.row < 100_000_000


def test_seeds_and_epochs_differ():
    first = [EpochOrder(0, [200]).at(n) for n in range(400)]
    other = [EpochOrder(1, [200]).at(n) for n in range(200)]
    assert first[:200] != first[200:]
    assert first[:200] != other
    assert first[:200] != [TaskRow(0, n) for n in range(200)]


def test_the_order_never_changes_between_versions():
    assert [EpochOrder(0, [3, 5]).at(n) for n in range(8)] == RECORDED


@pytest.mark.parametrize("size", [2, 3, 4, 5, 16, 37])
def test_every_place_is_equally_likely(size):
    trials = 4000
    counts = Counter()
    for epoch in range(trials):
        keys = epoch_round_keys(epoch, 1)
        counts.update((offset, permute(size, keys, offset)) for offset in range(size))
    expected = trials / size
    chi2 = sum((counts[i, j] - expected) ** 2 / expected for i in range(size) for j in range(size))
    freedom = (size - 1) ** 2
    assert chi2 < freedom + 5 * (2 * freedom) ** 0.5


def test_neighbours_do_not_stay_neighbours():
    order = [place.row for place in (EpochOrder(3, [10_000]).at(n) for n in range(10_000))]
    close = sum(abs(a - b) < 10 for a, b in pairwise(order))
    assert close < 60  # 19 in 10,000 by chance


def test_tasks_mix_in_proportion_along_the_epoch():
    order = EpochOrder(5, [9000, 1000])
    share = [sum(order.at(n).task for n in range(start, start + 1000)) for start in range(0, 10_000, 1000)]
    assert sum(share) == 1000
    assert all(55 < count < 150 for count in share)


@pytest.mark.parametrize("sizes", [[], [0], [0, 0], [3, -1]])
def test_an_order_over_nothing_is_refused(sizes):
    with pytest.raises(ValueError, match="at least one row"):
        EpochOrder(0, sizes)
