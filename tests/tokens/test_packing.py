"""Which rows make a pack, and which packs make a step."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tutelage.core.types import Encoded
from tutelage.tokens.packing import (
    WINDOW,
    Packing,
    Packs,
    first_fit_decreasing,
    packed_micro_batches,
    packing_of,
    vector_bin_packing,
)


def row(number, length, source=None):
    return Encoded(str(number), "t", (5,) * length, (True,) * length, source=source and (6,) * source)


def lengths(seed, longest=40):
    draw = random.Random(seed)
    return lambda: min(longest, int(draw.paretovariate(1.3)))


@pytest.fixture
def make_rows():
    """Row positions whose rows have lengths of all sizes, most of them short."""

    def make(count, *, pairs=False, seed=0):
        draw = lengths(seed)
        return [row(i, draw(), draw() if pairs else None) for i in range(count)]

    return make


def positions_of(packs, steps):
    return [[int(r.id) for pack in packs.of_step(step) for r in pack] for step in range(steps)]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(
    ("epoch", "batch_size", "steps"),
    [(3000, 8, 700), (3000, 37, 200), (1030, 5, 450), (50, 8, 20), (7, 16, 9), (1, 3, 4), (2048, 1, 2048)],
)
def test_every_position_comes_in_one_step_and_no_step_is_empty(make_rows, pairs, epoch, batch_size, steps):
    rows = make_rows(batch_size * steps, pairs=pairs)
    packing = Packing(64, 50 if pairs else 0, epoch)
    packs = Packs(rows.__getitem__, packing, batch_size=batch_size, steps=steps)
    seen = positions_of(packs, steps)
    assert all(seen), "an empty step"
    assert sorted(position for step in seen for position in step) == list(range(batch_size * steps))
    for step, numbers in enumerate(seen):
        low, high = step * batch_size, (step + 1) * batch_size
        assert all(low - WINDOW < n < high + WINDOW for n in numbers)
    for step in range(steps):
        for pack in packs.of_step(step):
            assert sum(len(r.ids) for r in pack) <= 64
            assert sum(len(r.source or ()) for r in pack) <= (50 if pairs else 0)
            first = int(pack[0].id)
            window = (first // epoch, first % epoch // WINDOW)
            assert all((int(r.id) // epoch, int(r.id) % epoch // WINDOW) == window for r in pack)


def test_a_step_is_the_same_whatever_was_asked_before(make_rows):
    rows = make_rows(5000)
    fresh = lambda: Packs(rows.__getitem__, Packing(64, 0, 2100), batch_size=9, steps=500)  # noqa: E731
    whole = positions_of(fresh(), 500)
    for step in (499, 0, 233, 117, 234):
        packs = fresh()
        packs.of_step((step * 7) % 500)
        assert [int(r.id) for pack in packs.of_step(step) for r in pack] == whole[step]


def test_only_the_rows_of_its_windows_are_read_for_a_step(make_rows):
    rows, read = make_rows(5000), []

    def row_at(position):
        read.append(position)
        return rows[position]

    packs = Packs(row_at, Packing(64, 0, 5000), batch_size=8, steps=600)
    packs.of_step(300)
    assert read == list(range(2048, 3072))
    packs.of_step(301)
    assert len(read) == 1024
    packs.of_step(599)  # positions 4792 to 4799: the last window ends with the training
    assert read[1024:] == list(range(4096, 4800))


def test_steps_have_batch_size_rows_on_the_average(make_rows):
    packs = Packs(make_rows(8192).__getitem__, Packing(64, 0, 8192), batch_size=64, steps=128)
    counts = [len(step) for step in positions_of(packs, 128)]
    assert sum(counts) == 8192
    for start in range(0, 128, 16):  # a window
        assert sum(counts[start : start + 16]) == WINDOW
    of_packs = [len(packs.of_step(step)) for step in range(128)]
    assert max(of_packs) - min(of_packs) <= 2


def test_short_rows_of_small_steps_are_packed_less_rather_than_leave_a_step_empty(make_rows):
    rows = [row(i, 1) for i in range(1024)]
    packs = Packs(rows.__getitem__, Packing(64, 0, 1024), batch_size=4, steps=256)
    assert [len(packs.of_step(step)) for step in range(256)] == [1] * 256
    assert {len(pack) for step in range(256) for pack in packs.of_step(step)} == {4}
    fills = {packs.fill(packs.of_step(step)) for step in range(256)}
    assert fills == {(4 / 64,)}


def test_what_packs_hold_does_not_drift_over_a_window(make_rows):
    packs = Packs(make_rows(1024).__getitem__, Packing(64, 0, 1024), batch_size=8, steps=128)
    means = [
        sum(len(pack[0].ids) for pack in of) / len(of)
        for of in (
            [p for step in range(low, low + 32) for p in packs.of_step(step)] for low in range(0, 128, 32)
        )
    ]
    assert max(means) < 1.6 * min(means), means  # in the order of packing it would fall from 40 to 5


def test_first_fit_takes_the_largest_first():
    assert first_fit_decreasing([3, 7, 5, 5, 2], 10) == [[1, 0], [2, 3], [4]]
    assert first_fit_decreasing([12, 1], 10) == [[0], [1]]
    assert first_fit_decreasing([], 10) == []


def test_both_sides_are_minded():
    assert vector_bin_packing([(1, 9), (1, 2), (9, 1)], (10, 10)) == [[0, 2], [1]]
    assert vector_bin_packing([(12, 1), (1, 1)], (10, 10)) == [[0], [1]]
    # What leaves the least of both: 6 and 7 tokens of one side, not 1 of each.
    assert vector_bin_packing([(3, 9), (1, 1), (6, 1)], (10, 10)) == [[0, 2], [1]]
    assert vector_bin_packing([], (10, 10)) == []


@pytest.mark.parametrize("seed", range(20))
def test_bins_are_at_most_what_the_theorem_says(seed):
    draw = random.Random(seed)
    costs = [draw.randint(1, 60) for _ in range(300)]
    bins = first_fit_decreasing(costs, 100)
    assert sorted(i for chosen in bins for i in chosen) == list(range(300))
    assert (
        len(bins) <= 11 / 9 * -(-sum(costs) // 100) + 6 / 9
    )  # Dosa 2007; the optimum is not below the sum's share
    for earlier, later in pairwise(bins):
        assert costs[earlier[0]] >= costs[later[0]]


@pytest.mark.parametrize("seed", range(5))
def test_rows_long_on_one_side_are_packed_with_rows_long_on_the_other(seed):
    draw = random.Random(seed)
    costs = [
        (draw.randint(3, 20), draw.randint(50, 400))
        if i % 2
        else (draw.randint(30, 200), draw.randint(20, 90))
        for i in range(1024)
    ]
    sides = [sum(side) for side in zip(*costs, strict=True)]
    room = (1024 * sides[0] // sides[1], 1024)
    bins = vector_bin_packing(costs, room)
    assert sorted(i for chosen in bins for i in chosen) == list(range(1024))
    for side in (0, 1):
        assert all(sum(costs[i][side] for i in chosen) <= room[side] for chosen in bins)
        assert sides[side] / (len(bins) * room[side]) > 0.95


def test_the_room_of_both_sides_runs_full_together():
    assert packing_of([row(0, 5), row(1, 7)], max_length=100) == Packing(100, 0, 2)
    assert packing_of([row(0, 5, 10), row(1, 5, 30)], max_length=100) == Packing(25, 100, 2)
    assert packing_of([row(0, 50, 40), row(1, 30, 20)], max_length=100) == Packing(100, 75, 2)
    # The longest row must fit, whatever the share.
    assert packing_of([row(0, 60, 100), row(1, 2, 100)], max_length=100) == Packing(60, 100, 2)


def test_packs_go_together_as_far_as_tokens_allow():
    packs = [[row(0, 4), row(1, 3)], [row(2, 5)], [row(3, 2, 9)], [row(4, 1)]]
    for tokens, want in ((0, [2, 1, 1, 1]), (12, [3, 2]), (11, [2, 1, 1, 1]), (100, [5])):
        micro = packed_micro_batches(packs, tokens=tokens)
        assert [r.id for batch in micro for r in batch] == list("01234")
        if tokens == 11:
            assert [len(batch) for batch in micro] == [2, 1, 1, 1]
        else:
            assert [len(batch) for batch in micro] == want


def test_fill_is_of_the_packs_room():
    pairs = Packs(lambda i: row(i, 2, 3), Packing(10, 20, 8), batch_size=4, steps=2)
    assert pairs.fill([[row(0, 2, 3), row(1, 2, 4)], [row(2, 6, 5)]]) == (12 / 40, 10 / 20)
