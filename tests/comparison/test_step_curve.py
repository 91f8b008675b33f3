"""Points of a curve, and the sentence on when loss and gain were there."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from tutelage.comparison.step_curve import CurveLine, StepPoint, curve_sentence, step_point
from tutelage.comparison.task_comparison import Estimate
from tutelage.metrics import paired_difference


def line(*gains, half=5.0, step=50):
    """A line whose gains are at steps 50, 100, ..."""
    points = [
        StepPoint(
            step * n,
            0.5 + gain / 100,
            Estimate(gain, gain - half, gain + half),
            Estimate(gain, gain - half, gain + half),
        )
        for n, gain in enumerate(gains, start=1)
    ]
    return CurveLine("accuracy", 40, (StepPoint(0, 0.5), *points))  # fmt: skip


def test_a_point_is_the_paired_difference_to_step_0(measured):
    scores = measured([1, 1, 0, 0, 1, 0], [1, 1, 1, 1, 0, 1], metrics=("accuracy",))
    point = step_point(50, scores)
    expected = paired_difference(scores.base["accuracy"], scores.tuned["accuracy"])
    assert point.value == pytest.approx(5 / 6)
    assert point.difference == (expected.value, expected.low, expected.high)
    assert point.gain == pytest.approx([100 * end for end in point.difference])
    assert step_point(0, scores) == StepPoint(0, point.value)
    assert StepPoint.from_json(json.loads(json.dumps(point.as_json()))) == point


def test_where_a_metric_has_no_value_there_is_no_difference(measured):
    scores = measured([1, 0], [1, 1], metrics=("accuracy",))
    nothing = replace(scores.base["accuracy"], score=replace(scores.base["accuracy"].score, value=math.nan))
    assert step_point(5, replace(scores, base={"accuracy": nothing})) == StepPoint(5, 1.0)
    assert step_point(5, replace(scores, tuned={"accuracy": nothing})) == StepPoint(5, None)


def test_points_stand_in_the_order_of_steps():
    one = CurveLine("accuracy", 3, ()).with_point(StepPoint(50, 0.5)).with_point(StepPoint(10, 0.25))
    assert [point.step for point in one.points] == [10, 50]
    assert CurveLine.from_json(one.as_json()) == one


@pytest.mark.parametrize(
    ("tasks", "watched", "sentence"),
    [
        (
            {"bot": line(36, 38, 40)},
            {"probe": line(-6, -7, -10)},
            "Half of the loss on probe (10.0 points at the end) was there by step 50, when the gain was 90 % of that at the end.",
        ),
        (
            {"a": line(10, 30, 40), "b": line(10, 20, 20)},
            {"probe": line(-2, -9, -10), "other": line(1, 2, 3)},
            "Half of the loss on probe (10.0 points at the end) was there by step 100, when the gain was 83 % of that at the end.",
        ),
        (
            {"bot": line(1, 2, 3)},
            {"probe": line(-6, -7, -10)},
            "Half of the loss on probe (10.0 points at the end) was there by step 50; a gain at the end is not certain on these samples.",
        ),
        ({}, {"probe": line(-1, -2, -10)}, "Half of the loss on probe (10.0 points at the end) was there by step 150."),
        (
            {"bot": line(10, 30, 40)},
            {"probe": line(-1, 0, -3)},
            "Half of the gain (40.0 points at the end) was there by step 100; no loss at the end is certain on these samples.",
        ),
        (
            {"bot": line(1, -1, 2)},
            {"probe": line(-1, 0, -3)},
            "A gain at the end is not certain on these samples; no loss at the end is certain on these samples.",
        ),
        ({"bot": line(10, 30, 40)}, {}, "Half of the gain (40.0 points at the end) was there by step 100."),
        ({}, {}, ""),
    ],
)  # fmt: skip
def test_the_sentence(tasks, watched, sentence):
    assert curve_sentence(tasks, watched) == sentence
