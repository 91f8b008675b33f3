"""Metrics with a target and without a direction: what they say of gain and loss."""

from __future__ import annotations

import pytest

from tutelage.comparison import PairedScores, compare_models
from tutelage.comparison.task_means import mean_over_tasks
from tutelage.comparison.verdict import SideNames, verdict
from tutelage.core.errors import InputError
from tutelage.metrics import Row, check_primary, score_rows


def answers(metric, base_words, tuned_words, *, words=10, n=60):
    """Two models whose answers have a number of words, a little more or less, for references of ten words."""
    sides = [
        score_rows(
            [metric],
            [Row("a " * (count + (i % 3) - 1), ("b " * (words + i % 2 * 2 - 1),)) for i in range(n)],
        )
        for count in (base_words, tuned_words)
    ]
    return PairedScores(metric, *sides)


@pytest.mark.parametrize(
    ("base", "tuned", "learned"),
    [
        (10, 30, "no"),  # a ratio of 1 that goes to 3 is no gain
        (30, 10, "yes"),
        (30, 20, "yes"),
        (5, 9, "yes"),
        (9, 5, "no"),
        (9, 30, "no"),  # across the target, farther from it
        (2, 11, "yes"),  # across the target, nearer to it
        (8, 12, "unclear"),  # across the target, as far from it
        (10, 10, "unclear"),
    ],
)
def test_nearer_to_the_target_is_better(base, tuned, learned):
    scores = answers("length_ratio", base, tuned)
    assert compare_models({"t": scores}, {}).verdict.learned == learned
    forgot = {"no": "yes"}.get(learned, "unclear")  # without a scale of 0 to 100 no loss is ever excluded
    assert compare_models({}, {"w": scores}).verdict.forgot == forgot


def test_the_gain_toward_a_target_is_how_much_nearer_the_value_came(make_comparison):
    for base, value, gain in [(1.0, 2.0, -2.0), (3.0, -1.5, 1.5), (0.4, 0.2, 0.2), (0.5, 0.7, 0.3)]:
        outcome = make_comparison(
            value=value, low=value - 0.05, high=value + 0.05, base=base, primary="length_ratio"
        )
        assert outcome.gain.value == pytest.approx(gain), (base, value)
        assert outcome.gain.low < gain < outcome.gain.high
        assert outcome.loss_points is None


def test_the_sentence_names_the_target():
    sentence = compare_models({"t": answers("length_ratio", 10, 30)}, {}).verdict.sentence
    assert "It got worse at t: words for each word of the reference rose from 1.000 to 3.000" in sentence
    assert "best at 1.0" in sentence


def test_a_metric_without_a_direction_says_neither_learned_nor_forgot():
    scores = answers("answer_length", 10, 30)
    found = compare_models({"t": scores}, {"w": scores})
    assert found.tasks["t"].significant
    assert (found.verdict.learned, found.verdict.forgot, found.over_budget) == ("unclear", "unclear", False)
    assert (
        "Of t no change is better or worse: words of an answer rose from 10.000 to 30.000"
        in found.verdict.sentence
    )
    assert "Of w no change is better or worse" in found.verdict.sentence
    assert "may be chance" not in found.verdict.sentence


def test_it_does_not_hide_what_other_tasks_learned_or_lost(make_comparison):
    length = make_comparison("length", value=5.0, low=4.0, high=6.0, p=0.001, primary="answer_length")
    worse = make_comparison("probe", value=-0.3, low=-0.4, high=-0.2, p=0.001)
    found = verdict([length, worse], [length, worse], budgets={}, names=SideNames())
    assert (found.learned, found.forgot) == ("no", "yes")


@pytest.mark.parametrize("metric", ["length_ratio", "answer_length"])
def test_no_budget_and_no_mean_over_tasks_applies_to_them(metric):
    scores = answers(metric, 10, 12)
    with pytest.raises(InputError, match="no scale of 0 to 100"):
        compare_models({}, {"w": scores}, budgets={"w": 3.0})
    assert mean_over_tasks("all", {"t": scores}) is None


def test_a_metric_without_a_direction_is_refused_as_primary():
    check_primary("length_ratio")
    check_primary("rouge")
    with pytest.raises(InputError, match="answer_length cannot be the primary metric"):
        check_primary("answer_length")
