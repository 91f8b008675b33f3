"""A score over some of its items is the score of their rows alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tutelage.metrics import Row, score_rows, score_subset

METRICS = ["accuracy", "f1", "mcc", "rouge1", "bleu", "chrf", "token_f1"]
SOME = [2, 3, 5, 8, 9, 13, 17, 18]


def rows(*, clusters):
    said = ["yes", "no", "maybe so", "yes and no"]
    return [
        Row(said[n % 4], (said[n * 7 % 4 if n % 3 else n % 4],), cluster=f"c{n // 5}" if clusters else None)
        for n in range(20)
    ]


@pytest.mark.parametrize("clusters", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_some_items_score_as_their_rows_alone(metric, clusters):
    every = rows(clusters=clusters)
    (whole,) = score_rows([metric], every).values()
    (alone,) = score_rows([metric], [every[n] for n in SOME]).values()
    found = score_subset(whole, SOME)
    assert dataclasses.astuple(found.score)[:4] == pytest.approx(
        dataclasses.astuple(alone.score)[:4], nan_ok=True
    )
    assert found.score.signature == alone.score.signature
    assert found.rows == tuple(SOME)
    np.testing.assert_array_equal(found.items, alone.items)
    assert (found.clusters is None) == (alone.clusters is None)
    if alone.clusters is not None:
        np.testing.assert_array_equal(found.clusters, alone.clusters)


def test_items_that_share_nothing_any_more_are_independent():
    (whole,) = score_rows(["accuracy"], rows(clusters=True)).values()
    assert score_subset(whole, [0, 5, 10, 15]).clusters is None
    assert score_subset(whole, []).score.n == 0
