"""Micro-batches and tensors."""

from __future__ import annotations

import random

import pytest
import torch

from tutelage.core.types import Encoded
from tutelage.tokens.batch import IGNORE_INDEX, FlatBatch, PairBatch, collate, micro_batches, size


def rows_of(lengths, *, seed=0):
    random_ = random.Random(seed)
    return [
        Encoded(f"r{i}", "t", tuple(random_.randrange(3, 99) for _ in range(n)), (False,) * (n - 1) + (True,))
        for i, n in enumerate(lengths)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_micro_batches_are_a_partition_within_the_token_budget(seed):
    random_ = random.Random(seed)
    rows = rows_of([random_.randint(1, 60) for _ in range(random_.randint(1, 40))], seed=seed)
    tokens = random_.choice([0, 1, 30, 64, 200, 10_000])
    cut = micro_batches(rows, tokens=tokens)
    assert sorted(r.id for micro in cut for r in micro) == sorted(r.id for r in rows)
    for micro in cut:
        assert len(micro) == 1 or sum(size(r) for r in micro) <= tokens
    shuffled = random_.sample(rows, len(rows))
    assert micro_batches(shuffled, tokens=tokens) == cut


def test_two_of_the_same_row_stay_two():
    row = rows_of([5])[0]
    assert sorted(len(m) for m in micro_batches([row, row, row], tokens=10)) == [1, 2]


def test_small_rows_share_what_is_left():
    assert len(micro_batches(rows_of([60, 40, 30, 30, 20, 20]), tokens=100)) == 2


def test_flat_rows_restart_their_positions_and_predict_the_next_token():
    rows = [
        Encoded("a", "t", (10, 11, 12, 13), (False, False, True, True)),
        Encoded("b", "t", (20, 21, 22), (False, True, False)),
        Encoded("c", "t", (30, 31), (False, False)),
        Encoded("d", "t", (40,), (True,)),
    ]
    batch = collate(rows, pad_id=0)
    assert isinstance(batch, FlatBatch)
    assert batch.ids.tolist() == [[10, 11, 12, 13, 20, 21, 22, 30, 31, 40]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 1, 2, 0, 1, 0]]
    assert batch.logits_to_keep.tolist() == [1, 2, 4]
    assert batch.targets.tolist() == [12, 13, 21]
    assert batch.n_loss == 3


def test_pairs_are_padded_and_only_wanted_labels_bear_loss():
    rows = [
        Encoded("a", "t", (9, 5, 6, 1), (False, True, True, True), source=(7, 8, 1)),
        Encoded("b", "t", (4, 1), (True, True), source=(3, 3, 3, 3, 1)),
    ]
    batch = collate(rows, pad_id=0)
    assert isinstance(batch, PairBatch)
    assert batch.source.tolist() == [[7, 8, 1, 0, 0], [3, 3, 3, 3, 1]]
    assert batch.source_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.ids.tolist() == [[9, 5, 6, 1], [4, 1, 0, 0]]
    assert batch.labels.tolist() == [[IGNORE_INDEX, 5, 6, 1], [4, 1, IGNORE_INDEX, IGNORE_INDEX]]
    assert batch.n_loss == 5
    assert batch.source.dtype == batch.labels.dtype == torch.long


def test_a_row_costs_its_source_too():
    assert size(Encoded("a", "t", (1, 2), (True, True), source=(1, 2, 3))) == 5
