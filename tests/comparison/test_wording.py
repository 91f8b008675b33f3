from __future__ import annotations

import pytest

from tutelage.comparison import wording
from tutelage.metrics.catalogue import catalogue


def test_every_metric_of_the_catalogue_can_be_spoken_of():
    for name in catalogue():
        told = wording.metric_wording(name)
        assert told.label
        assert told.explain.endswith(".")


def test_scales_are_those_of_the_catalogue():
    for name, entry in catalogue().items():
        points = wording.metric_wording(name).points
        assert (points == 100) == (entry.high == 1), name


def test_options_stand_in_the_label():
    assert wording.metric_wording("rouge1:stemmer=false").label == "ROUGE-1 (stemmer=false)"
    assert wording.metric_wording("rouge1:stemmer=false").points == 100
    assert wording.metric_wording("something-else") == wording.MetricWording(
        "something-else", "something-else", None, ""
    )


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.04, True, "0.0"),
        (-0.04, True, "0.0"),
        (-1.26, False, "\N{MINUS SIGN}1.3"),
        (2.0, True, "+2.0"),
        (2.0, False, "2.0"),
    ],
)
def test_numbers_have_one_decimal_and_a_true_minus(value, sign, text):
    assert wording.format_number(value, sign=sign) == text
