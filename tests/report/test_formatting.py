from __future__ import annotations

import pytest

from tutelage.report import formatting


def test_texts_are_cut_at_two_thousand_characters_with_their_length_kept():
    assert formatting.text("a" * 2000) == formatting.Text("a" * 2000)
    assert formatting.text("a" * 2001) == formatting.Text("a" * 2000, cut=2001)


def test_what_a_page_must_not_hold_becomes_visible():
    assert formatting.text("a\x00b\x1b[31m\u202ec\ud800").content == "a\ufffdb\ufffd[31m\ufffdc\ufffd"
    assert formatting.text("tab\tline\n").content == "tab\tline\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (252, "4 min 12 s"), (3700, "1 h 1 min")]
)
def test_times_are_told_in_two_units(seconds, text):
    assert formatting.duration(seconds) == text


def test_small_p_values_are_said_to_be_small():
    assert formatting.probability(0.00001).text == "< 0.0001"
    assert formatting.probability(0.0321).text == "0.0321"


def test_values_of_a_recipe_are_one_line():
    assert formatting.plain({"a": [1, "b"], "c": None}) == "a 1 b, c "
    assert formatting.count(1234567).text == "1\u202f234\u202f567"
