"""Lengths of answers by hand."""

from __future__ import annotations

import math

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, paired_difference, score_rows

ROWS = [Row("a b c", ("a b", "a b c d")), Row("a", ("a b",)), Row("", ("x",)), Row("y", ("",))]


def test_words_of_predictions_over_those_of_references():
    scores = score_rows(["length_ratio", "answer_length"], ROWS)
    assert scores["length_ratio"].score.value == pytest.approx((3 + 1 + 0 + 1) / (3 + 2 + 1 + 0))
    assert scores["answer_length"].score.value == pytest.approx(5 / 4)
    assert scores["length_ratio"].items.tolist()[:3] == [1.0, 0.5, 0.0]
    assert math.isnan(scores["length_ratio"].items[3])
    assert not scores["length_ratio"].higher_is_better


def test_a_ratio_needs_references_and_a_length_does_not():
    assert score_rows(["answer_length"], [Row("a b", ())])["answer_length"].score.value == 2.0
    with pytest.raises(InputError, match="needs a reference"):
        score_rows(["length_ratio"], [Row("a", ())])


def test_a_model_that_answers_three_times_as_long_differs_beyond_chance():
    texts = ["a b c d" + " e" * (n % 5) for n in range(60)]
    base, tuned = (
        score_rows(["length_ratio"], [Row(" ".join([text] * times), (text,)) for text in texts])[
            "length_ratio"
        ]
        for times in (1, 3)
    )
    difference = paired_difference(base, tuned)
    assert (difference.value, difference.p < 0.001) == (pytest.approx(2.0), True)
    assert 1 < difference.low < 2 < difference.high
