"""The likeliest choice, by what log-probabilities are divided by."""

from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows

CHOICES = ["ü", "abc", "a b c d"]
FIELDS = {"choices": CHOICES, "logprobs": [-1.8, -2.4, -4.9], "lengths": [1, 1, 9]}


def best(**changes):
    """Which choice is the likeliest, by each divisor."""
    found = {}
    for by in ("none", "characters", "bytes", "tokens"):
        name = f"choice_accuracy:by={by}"
        rows = [Row("", (choice,), {**FIELDS, **changes}) for choice in CHOICES]
        right = [score_rows([name], [row])[name].score.value for row in rows]
        assert sum(right) == 1
        found[by] = CHOICES[right.index(1)]
    return found


def test_each_divisor_has_its_own_winner():
    # per character -1.8, -0.8, -0.7; per byte -0.9, -0.8, -0.7; per token -1.8, -2.4, -0.54
    assert best() == {"none": "ü", "characters": "a b c d", "bytes": "a b c d", "tokens": "a b c d"}
    # per character -1.0, -0.9, -1.1; per byte -0.5, -0.9, -1.1; per token -1.0, -2.7, -0.86
    assert best(logprobs=[-1.0, -2.7, -7.7]) == {
        "none": "ü",
        "characters": "abc",
        "bytes": "ü",
        "tokens": "a b c d",
    }


def test_the_first_of_equals_is_taken():
    assert best(logprobs=[-3.0, -3.0, -99.0], lengths=[2, 2, 2])["none"] == "ü"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"choices": []}, "choices"),
        ({"choices": "abc"}, "choices"),
        ({"logprobs": [-1.0]}, "logprobs"),
        ({"logprobs": [-1.0, float("nan"), -2.0]}, "logprobs"),
        ({"logprobs": [-1.0, True, -2.0]}, "logprobs"),
        ({"logprobs": [float("-inf")] * 3}, "logprobs"),
        ({"lengths": [1, 0, 2]}, "lengths"),
        ({"lengths": []}, "lengths"),
    ],
)
def test_what_does_not_say_it_is_refused_by_row_and_field(changes, field):
    with pytest.raises(InputError, match="the choices cannot be compared") as caught:
        score_rows(["choice_accuracy:by=tokens"], [Row("", ("abc",), {**FIELDS, **changes})])
    assert caught.value.where == f"row 1, field {field}"
