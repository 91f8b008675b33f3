from __future__ import annotations

import pytest

from tutelage.comparison import wording
from tutelage.core import yamltext
from tutelage.metrics.catalogue import catalogue


def test_every_metric_of_the_catalogue_can_be_spoken_of():
    for name in catalogue():
        told = wording.metric_wording(name)
        assert told.label
        assert told.explain.endswith(".")


def test_every_metric_of_the_catalogue_has_words_of_its_own_for_people():
    assert set(yamltext.table("tutelage.comparison", "metrics.yaml")) == set(catalogue())
    labels = [wording.metric_wording(name).label for name in catalogue()]
    assert len(set(labels)) == len(labels)


def test_where_less_is_better_a_table_says_so():
    assert wording.metric_label("wrongly_refuses") == "Wrongly refuses (lower is better)"
    assert wording.metric_name("ter") == "ter (lower is better)"
    assert wording.metric_label("accuracy") == "Accuracy"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0, "< 0.0001"), (0.00009, "< 0.0001"), (0.0001, "0.0001"), (1.0, "1.0000")]
)
def test_a_p_that_would_round_to_nothing_is_said_to_be_small(p, text):
    assert wording.format_p(p) == text


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
