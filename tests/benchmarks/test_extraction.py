from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.benchmarks.extraction import rule, rules
from tutelage.core.errors import InputError


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("whole", "  a\n b \n", "a\n b"),
        ("verbatim", "  a\n b \n", "  a\n b \n"),
        ("verbatim", "", ""),
        ("whole", "", ""),
        ("whole", " \n\t ", ""),
        ("whole", "YES", "YES"),
        ("first-line", "\n \n  The answer. \nmore", "The answer."),
        ("first-line", "one", "one"),
        ("first-line", "x\r\ny", "x"),
        ("first-line", " \n ", ""),
        ("first-word", "**Yes**, of course", "yes"),
        ("first-word", "42 apples", "apples"),
        ("first-word", "don't-ask me", "don't-ask"),
        ("first-word", "l\u2019été ÉTÉ", "l\u2019été"),
        ("first-word", "'quoted' -", "quoted"),
        ("first-word", "STRASSE Straße", "strasse"),
        ("first-word", "Straße", "strasse"),
        ("first-word", "a_b", "a"),
        ("first-word", "12 34 .", ""),
        ("last-word", "The answer is Paris.", "paris"),
        ("last-word", "one", "one"),
        ("last-word", "7 days 7", "days"),
        ("first-number", "It is 1,234.50 euros, or 3.", "1234.50"),
        ("first-number", "-5 degrees", "-5"),
        ("first-number", "3-4", "3"),
        ("first-number", "1, 2 and 3", "1"),
        ("first-number", "1,2,3", "1"),
        ("first-number", "12,345,678", "12345678"),
        ("first-number", "v2.5 of 7", "7"),
        ("first-number", "5.", "5"),
        ("first-number", "none", ""),
        ("last-number", "2 + 2 = 4", "4"),
        ("last-number", "2 + 2 = 4.", "4"),
        ("last-number", "4.0 (four)", "4.0"),
        ("last-number", "from 1,000 to -2,500", "-2500"),
        ("last-number", "10 - 7 = 3", "3"),
        ("first-letter", "The answer is (B).", "B"),
        ("first-letter", "C", "C"),
        ("first-letter", "A. is right", "A"),
        ("first-letter", "b", ""),
        ("first-letter", "Because", ""),
    ],
)
def test_what_stands_in_a_text_is_taken_as_the_rule_says(name, text, answer):
    assert rule(name, where="w").answer(text) == answer


def test_every_rule_has_a_summary_and_is_tried_here():
    (mark,) = test_what_stands_in_a_text_is_taken_as_the_rule_says.pytestmark
    assert {name for name, _, _ in mark.args[1]} == set(rules())
    assert all(one.summary for one in rules().values())


@given(st.text(alphabet="aB \n\r,.-'\u20191٣é_²()", max_size=30))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_an_answer_is_stripped_and_taking_it_again_changes_nothing(text):
    for one in rules().values():
        answer = one.answer(text)
        assert answer == (answer.strip() if one.strip else text)
        assert one.answer(answer) == answer
        if one.fold:
            assert answer == answer.casefold()


@pytest.mark.parametrize("piece", ["1", "1,", "a'", " ", " \n", "-", "1,111", "a ", "\n", ".5", "A", "é"])
def test_a_long_text_takes_no_more_than_linear_time(piece):
    """Squared, 400,000 characters would take longer than the suite's timeout."""
    text = piece * (400_000 // len(piece))
    for one in rules().values():
        assert len(one.answer(text)) <= len(text)
        assert len(one.answer(f"a{text}b")) <= len(text) + 2


def test_a_rule_that_is_not_known_is_refused_with_the_nearest():
    for name, fix in [("first-numbr", "did you mean first-number?"), ("zzz", "take one of these")]:
        with pytest.raises(InputError, match="there is no such extraction rule") as caught:
            rule(name, where="spec.yaml:3: extraction")
        assert (caught.value.where, caught.value.found, caught.value.fix) == (
            "spec.yaml:3: extraction",
            name,
            fix,
        )
        assert caught.value.expected == ", ".join(rules())
