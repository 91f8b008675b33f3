"""Averages over parts: their values by hand, and intervals that hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from tutelage.benchmarks.aggregates import ScoredPart, group_scores, weighted
from tutelage.metrics import Row, paired_difference, score_rows


def rows(right: dict[str, list[int]]) -> list[Row]:
    return [
        Row("a" if value else "b", ("a",), task=part) for part, values in right.items() for value in values
    ]


def test_the_averages_by_hand():
    right = {"x": [1, 1, 0, 0], "y1": [1], "y2": [0, 0], "z": [1, 1]}
    parts = {
        "x": ScoredPart(("g",), size=40),
        "y1": ScoredPart(("g",), fold="y", size=10),
        "y2": ScoredPart(("h",), fold="y", size=30),
        "z": ScoredPart(size=20),
    }
    every = rows(right)
    whole = score_rows(["accuracy"], every)
    found = group_scores(["accuracy"], every, parts, whole)
    values = {name: one["accuracy"].score.value for name, one in found.items()}
    assert values == {
        "g": pytest.approx(3 / 5),
        "h": 0.0,
        # each part weighs what it has in all: 0.5 x 40 + 1 x 10 + 0 x 30 + 1 x 20 of 100
        "micro": pytest.approx(0.5),
        # x 0.5; y (1 + 0) / 2; z 1
        "macro": pytest.approx((0.5 + 0.5 + 1) / 3),
    }
    assert whole["accuracy"].score.value == pytest.approx(5 / 9)


def test_all_items_asked_have_no_other_micro_average_and_one_part_has_none_at_all():
    right = {"x": [1, 0], "y": [1, 0, 1]}
    every = rows(right)
    whole = score_rows(["accuracy", "f1"], every)
    found = group_scores(["accuracy", "f1"], every, {"x": ScoredPart(size=2), "y": ScoredPart(size=3)}, whole)
    assert list(found) == ["macro"]
    assert list(found["macro"]) == ["accuracy"]  # F1 is no mean over items
    alone = rows({"x": [1, 0]})
    assert group_scores(["accuracy"], alone, {"x": ScoredPart(size=9)}, score_rows(["accuracy"], alone)) == {}


def test_its_items_pair_and_give_the_averages_difference():
    first, second = rows({"x": [1, 1, 0, 0], "y": [0]}), rows({"x": [1, 1, 1, 0], "y": [1]})
    parts = [row.task for row in first]
    scored = [
        weighted(score_rows(["accuracy"], own)["accuracy"], parts, {"x": 1.0, "y": 1.0}, "macro")
        for own in (first, second)
    ]
    assert [one.score.value for one in scored] == [pytest.approx(0.25), pytest.approx(0.875)]
    assert scored[0].items.mean() == pytest.approx(0.25)
    difference = paired_difference(*scored, seed=0)
    assert difference.value == pytest.approx(0.625)


@pytest.mark.parametrize(("parts", "size"), [(57, 5), (23, 10), (5, 40)])
def test_intervals_hold_the_true_average_about_95_times_of_100(parts, size):
    draw = np.random.default_rng(parts)
    inside = 0
    trials = 400
    for _ in range(trials):
        chances = draw.beta(2, 2, parts)
        right = {str(n): draw.binomial(1, chance, size).tolist() for n, chance in enumerate(chances)}
        every = rows(right)
        whole = score_rows(["accuracy"], every)["accuracy"]
        found = weighted(whole, [row.task for row in every], dict.fromkeys(right, 1.0), "macro").score
        inside += found.low <= chances.mean() <= found.high
    # Of 400 trials at 95 %, fewer than 366 come once in 10,000 times.
    assert inside >= 366


def test_where_all_is_right_the_interval_is_as_wide_as_the_plain_one():
    every = rows({"x": [1] * 5, "y": [1] * 5})
    whole = score_rows(["accuracy"], every)["accuracy"]
    found = weighted(whole, [row.task for row in every], {"x": 1.0, "y": 1.0}, "macro").score
    assert (found.value, found.low, found.high) == (1.0, whole.score.low, 1.0)
