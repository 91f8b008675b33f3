from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.metrics.facts import contains


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("We open at  9 A.M.\non Mondays", "9 a.m. on mondays", True),
        ("It costs 19.50", "19", False),
        ("It costs 19.", "19", True),
        ("It costs 1,250 in all", "250", False),
        ("It costs $19.99!", "$19.99", True),
        ("return within 30 days", "30 day", False),
        ("STRASSE", "straße", True),
        ("anything (x) goes", "(x)", True),
        ("", "x", False),
    ],
)
def test_contains_folds_case_and_space_and_keeps_words_and_numbers_whole(
    text: str, phrase: str, *, expected: bool
):
    assert contains(text, phrase) is expected


def row(prediction: str, **fields: Any) -> Row:
    told = {"must_contain": ["blue"], "must_not_contain": ["red"], "refusal": ["cannot say"], **fields}
    return Row(prediction, ("x",), told)


def test_the_three_count_their_own_rows():
    rows = [
        row("It is blue.", answerable=True),
        row("Blue or red.", answerable=True),
        row("I cannot say.", answerable=True),
        row("I cannot say.", answerable=False, must_contain=[]),
        row("It is blue.", answerable=False, must_contain=[]),
    ]
    found = score_rows(["states_fact", "rightly_refuses", "wrongly_refuses"], rows)
    assert found["states_fact"].score.value == pytest.approx(1 / 3)
    assert found["states_fact"].rows == (0, 1, 2)
    np.testing.assert_array_equal(found["states_fact"].items, [1, 0, 0])
    assert found["rightly_refuses"].score.value == 0.5
    assert found["rightly_refuses"].rows == (3, 4)
    assert found["wrongly_refuses"].score.value == pytest.approx(1 / 3)
    assert not found["wrongly_refuses"].higher_is_better


def test_a_row_with_must_contain_that_does_not_say_is_answerable():
    assert score_rows(["states_fact"], [row("blue")])["states_fact"].score.n == 1


def test_none_to_count_has_no_value():
    score = score_rows(["rightly_refuses"], [row("blue", answerable=True)])["rightly_refuses"].score
    assert score.n == 0
    assert np.isnan([score.value, score.low, score.high]).all()
    assert score.as_json()["value"] is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"must_contain": "blue", "answerable": True}, "must_contain"),
        ({"must_contain": [], "answerable": True}, "must_contain"),
        ({"must_contain": [1], "answerable": True}, "must_contain"),
        ({"must_not_contain": [" "], "answerable": True}, "must_not_contain"),
        ({"answerable": "yes"}, "answerable"),
        ({"must_contain": None}, "answerable"),
    ],
)
def test_an_unreadable_field_is_named_with_its_row(fields: dict[str, Any], field: str):
    with pytest.raises(InputError) as caught:
        score_rows(["states_fact"], [row("blue"), row("blue", **fields)])
    assert caught.value.where == f"row 2, field {field}"
