from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.report.chart import HUNDRED, MAX_POINTS, Scale, fitted, from_zero, line, thinned

VALUES = st.integers(-1_000_000, 1_000_000).map(lambda n: n / 1000)


def test_values_stand_where_they_belong_and_never_outside():
    assert [HUNDRED.at(value) for value in (0, 25, 100, -5, 130)] == [0, 25, 100, 0, 100]
    assert Scale(3, 3, ()).at(3) == 50


@given(st.lists(VALUES, min_size=1, max_size=20))
def test_a_fitted_scale_holds_its_values_and_has_few_round_ticks(values):
    scale = fitted(values)
    assert scale.low <= min(values) + 1e-6
    assert scale.high >= max(values) - 1e-6
    assert 2 <= len(scale.ticks) <= 8
    assert scale.ticks[0][0] == 0
    assert scale.ticks[-1][0] == 100


def test_ticks_are_round():
    assert [label for _, label in fitted([0.0, 3.2]).ticks] == ["0", "1", "2", "3", "4"]
    assert [label for _, label in fitted([0.12, 0.31]).ticks] == [
        "0.10",
        "0.15",
        "0.20",
        "0.25",
        "0.30",
        "0.35",
    ]


def test_steps_begin_at_zero_and_end_at_the_last():
    scale = from_zero(120)
    assert scale.high == 120
    assert [label for _, label in scale.ticks] == ["0", "20", "40", "60", "80", "100", "120"]
    assert [label for _, label in from_zero(130).ticks] == ["0", "50", "100"]


def test_a_line_goes_downwards_as_values_rise():
    assert line([(0.0, 0.0), (100.0, 25.0)], HUNDRED, HUNDRED) == "0,100 100,75"


def test_long_lines_keep_their_ends_and_their_mean():
    points = [(float(n), float(n % 7)) for n in range(10_000)]
    drawn = thinned(points)
    assert len(drawn) == MAX_POINTS
    assert drawn[0][0] < 40
    assert drawn[-1][0] > 9950
    assert sum(b for _, b in drawn) / len(drawn) == pytest.approx(
        sum(b for _, b in points) / len(points), abs=0.02
    )
    assert thinned(points[:50]) == points[:50]
