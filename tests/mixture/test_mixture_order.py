"""The order over shares: what each block holds, that no row repeats within a epoch, that every position stands alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tutelage.mixture.feistel import (
    permutation,
    permute,
    permute_all,
    round_keys,
    round_keys_all,
    splitmix64_all,
)
from tutelage.mixture.mixture_order import BLOCK, Draw, MixtureOrder

RECORDED = [
    (2, 4, 0), (1, 19, 0), (1, 63, 0), (2, 6, 35), (0, 0, 83), (1, 43, 1234), (1, 10, 10000000000)
]  # fmt: skip


def mixture(number):
    """A random mixture of 1 to 2,000 tasks with sizes of very different lengths, and where in it to look."""
    rng = np.random.default_rng(number)
    tasks = int(np.exp(rng.uniform(0, np.log(2000))))
    sizes = np.maximum(1, rng.pareto(0.6, tasks) * rng.choice([1, 30, 1000])).astype(np.int64)
    sizes = np.minimum(sizes, 10**9)
    rates = np.minimum(sizes, 3000.0) ** (1 / rng.choice([1, 2, 5]))
    if number % 3 == 0:
        rates = rng.pareto(0.5, tasks) + 1e-9
    shares = rates / rates.sum()
    first = int(rng.integers(0, 10 ** int(rng.integers(1, 13))))
    return MixtureOrder(number, sizes.tolist(), shares.tolist()), first


def counts_before(order, position):
    """How often each task comes before a position that is a multiple of the block size."""
    return np.diff(order._slots_below(position // BLOCK, order._share_bounds))


def distinct(task, row, epoch):
    """How many different (task, row, epoch) there are, by their 64-bit hashes."""
    hashes = splitmix64_all(splitmix64_all(epoch.astype(np.uint64)) ^ row.astype(np.uint64)) ^ task.astype(
        np.uint64
    )
    return len(np.unique(splitmix64_all(hashes)))


@pytest.mark.parametrize(
    "numbers", [range(0, 2000, 4), pytest.param([n for n in range(2000) if n % 4], marks=pytest.mark.long)]
)
def test_two_thousand_random_mixtures(numbers):
    for number in numbers:
        order, first = mixture(number)
        shares = np.array(order.shares)
        start = first // BLOCK * BLOCK
        length = BLOCK * (3 if number % 10 == 0 else 1)
        task, row, epoch = order.span(start, start + length)
        # each task's share of each block, within a row
        for at in range(0, length, BLOCK):
            counts = np.bincount(task[at : at + BLOCK], minlength=len(shares))
            assert np.abs(counts - BLOCK * shares).max() <= 1 + 1e-6
        # the counts of the blocks add up, and keep to the shares however far
        before = counts_before(order, start)
        assert before.sum() == start
        assert np.array_equal(
            counts_before(order, start + length) - before, np.bincount(task, minlength=len(shares))
        )
        assert np.abs(before - start * shares).max() < 3 + math.log2(start / BLOCK + 1) + start * 1e-12
        # rows are rows, and none repeats within a epoch
        sizes = np.array(order.sizes)
        assert (row >= 0).all()
        assert (row < sizes[task]).all()
        assert distinct(task, row, epoch) == length
        # and a epoch is over before the next one begins
        by_task = np.argsort(task, kind="stable")
        assert (np.diff(epoch[by_task])[np.diff(task[by_task]) == 0] >= 0).all()
        # one position alone, and any other cut, give the same
        rng = np.random.default_rng(number)
        cut = int(rng.integers(0, length - 100))
        end = cut + int(rng.integers(1, 100))
        assert order.at(start + cut) == Draw(int(task[cut]), int(row[cut]), int(epoch[cut]))
        part = order.span(start + cut, start + end)
        assert all((one == whole[cut:end]).all() for one, whole in zip(part, (task, row, epoch), strict=True))


def test_every_row_comes_once_an_epoch():
    for number in range(12):
        rng = np.random.default_rng(number)
        sizes = rng.integers(1, 200, int(rng.integers(1, 40)))
        shares = rng.dirichlet(np.ones(len(sizes)))
        order = MixtureOrder(number, sizes.tolist(), shares.tolist())
        task, row, epoch = order.span(0, 20_000)
        for one, size in enumerate(sizes.tolist()):
            mine = task == one
            counts = np.bincount(epoch[mine], minlength=1)
            assert (counts[:-1] == size).all()
            for full in range(len(counts) - 1):
                assert np.array_equal(np.sort(row[mine & (epoch == full)]), np.arange(size))


def test_no_row_comes_again_before_all_its_tasks_rows_came():
    sizes = [7, 400, 9000]
    order = MixtureOrder(3, sizes, [0.2, 0.3, 0.5])
    task, row, _ = order.span(0, 30_000)
    for one, size in enumerate(sizes):
        mine = row[task == one]
        epochs = [set(mine[at : at + size].tolist()) for at in range(0, len(mine) - size, size)]
        assert len(epochs) > 0
        assert all(epoch == set(range(size)) for epoch in epochs)


def test_single_positions_are_the_sequence():
    order = MixtureOrder(11, [3, 50, 1200, 1], [0.05, 0.2, 0.7499, 0.0001])
    picks = order.span(0, 5000)
    played = [Draw(*one) for one in zip(*(column.tolist() for column in picks), strict=True)]
    assert [order.at(position) for position in reversed(range(5000))] == played[::-1]


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 8])
def test_workers_see_together_what_one_sees(workers):
    order = MixtureOrder(5, [100, 2000, 30], [0.3, 0.6, 0.1])
    whole = [order.at(position) for position in range(3000)]
    seen = {}
    for worker in range(workers):
        seen.update((position, order.at(position)) for position in range(worker, 3000, workers))
    assert [seen[position] for position in range(3000)] == whole


def test_seeds_turns_and_blocks_differ():
    first, other = (MixtureOrder(seed, [500, 500], [0.5, 0.5]).span(0, 4000) for seed in (0, 1))
    assert (first.task != other.task).any()
    assert (first.row != other.row).any()
    assert (first.task[:BLOCK] != first.task[BLOCK : 2 * BLOCK]).any()
    epochs = [first.row[(first.task == 0) & (first.epoch == epoch)] for epoch in (0, 1)]
    assert (epochs[0] != epochs[1]).any()
    twins = [first.row[(first.task == task) & (first.epoch == 0)] for task in (0, 1)]
    assert (twins[0] != twins[1]).any()


def test_rare_tasks_come_as_often_as_their_share_says():
    tasks = 1836
    order = MixtureOrder(0, [10**6] * tasks, [1 / tasks] * tasks)
    counts = counts_before(order, 10**9)
    assert counts.sum() == 10**9
    assert np.abs(counts - 10**9 / tasks).max() < 20
    blocks = [np.bincount(order.span(at, at + BLOCK).task, minlength=tasks).max() for at in (0, 10**12)]
    assert blocks == [1, 1]


def test_a_share_of_almost_nothing_still_comes():
    order = MixtureOrder(0, [10, 10], [1 - 1e-15, 1e-15])
    assert counts_before(order, 10**9)[1] == 0
    every = BLOCK << 32  # positions until the shifts begin again
    assert counts_before(order, 3 * every)[1] == 3


def test_exact_shares_give_exact_counts():
    order = MixtureOrder(9, [100] * 5, [0.40, 0.32, 0.20, 0.05, 0.03])
    for at in range(0, 50_000, BLOCK):
        assert np.bincount(order.span(at, at + BLOCK).task).tolist() == [400, 320, 200, 50, 30]


def test_a_task_without_a_share_never_comes():
    order = MixtureOrder(0, [5, 0, 5], [0.5, 0.0, 0.5])
    assert set(order.span(0, 3000).task.tolist()) == {0, 2}


def test_capped_rows_are_a_sample_that_stays():
    order = MixtureOrder(2, [30, 40], [0.5, 0.5], totals=[1000, 40])
    task, row, epoch = order.span(0, 3000)
    epochs = [set(row[(task == 0) & (epoch == one)].tolist()) for one in range(40)]
    assert all(len(rows) == 30 for rows in epochs)
    assert all(rows == epochs[0] for rows in epochs)
    assert max(epochs[0]) > 500  # not the first 30
    assert set(row[task == 1].tolist()) == set(range(40))
    assert [order.at(n) for n in range(50)] == [
        Draw(*one) for one in zip(task[:50].tolist(), row[:50].tolist(), epoch[:50].tolist(), strict=True)
    ]


def test_slots_are_spread_within_a_block():
    """A task of a tenth comes in the first half of a block as often as in the second, and seldom twice in a row by rule."""
    order = MixtureOrder(4, [10_000, 10_000], [0.1, 0.9])
    task = order.span(0, 200_000).task.reshape(-1, BLOCK)
    halves = (task[:, : BLOCK // 2] == 0).sum(axis=1)
    assert abs(halves.mean() - 50) < 1.5
    assert 4 < halves.std() < 6.5  # sqrt of 100 * 1/4 * 900/999 is 4.7


def test_an_empty_span_is_empty():
    order = MixtureOrder(0, [5], [1.0])
    assert [len(column) for column in order.span(7, 7)] == [0, 0, 0]
    assert [len(column) for column in order.span(2000, 1000)] == [0, 0, 0]


def test_the_order_never_changes_between_versions():
    order = MixtureOrder(0, [3, 50, 7], [0.25, 0.5, 0.25], totals=[3, 80, 7])
    assert [tuple(order.at(n)) for n in (0, 1, 2, 999, 1000, 123_456, 10**12)] == RECORDED


def test_many_permutations_at_once_are_the_same_ones():
    rng = np.random.default_rng(0)
    sizes = np.concatenate([np.arange(1, 300), rng.integers(1, 1 << 52, 300), 4 ** np.arange(1, 26)])
    offsets = rng.integers(0, sizes)
    numbers = rng.integers(0, 1 << 40, len(sizes))
    keys = round_keys_all(12345, numbers, numbers[::-1].copy())
    found = permute_all(sizes, keys, offsets).tolist()
    for place, one in enumerate(found):
        own = round_keys(12345, int(numbers[place]), int(numbers[::-1][place]))
        assert own == tuple(keys[:, place].tolist())
        assert one == permute(int(sizes[place]), own, int(offsets[place]))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 64, 257, 1000, 1024, 1025])
def test_a_whole_permutation_is_the_single_places(size):
    keys = round_keys(77, size)
    found = permutation(size, keys)
    assert found.tolist() == [permute(size, keys, place) for place in range(size)]
    assert np.array_equal(np.sort(found), np.arange(size))


@pytest.mark.parametrize(
    ("sizes", "shares", "totals"),
    [
        ([], [], None),
        ([1], [0.5, 0.5], None),
        ([1, 1], [0.5, 0.6], None),
        ([1, 1], [1.5, -0.5], None),
        ([1, 1], [math.nan, 1.0], None),
        ([0, 1], [0.5, 0.5], None),
        ([5, 1], [0.5, 0.5], [4, 1]),
        ([-1, 1], [0.0, 1.0], None),
    ],
)
def test_what_is_no_mixture_is_refused(sizes, shares, totals):
    with pytest.raises(ValueError, match=r"one a task|add up to 1|cannot use"):
        MixtureOrder(0, sizes, shares, totals)
