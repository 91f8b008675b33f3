from __future__ import annotations

from dataclasses import asdict

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics.answer_extraction import ExtractedAnswer, audit_extraction, extract_bbh


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("2 + 2 is 4. So the answer is 4.", "cot", ExtractedAnswer("4")),
        ("So the answer is (B)", "cot", ExtractedAnswer("(B)")),
        ("So the answer is True.\n\nQ: next", "cot", ExtractedAnswer("True.\n\nQ: next")),
        ("I think it is 4.", "cot", ExtractedAnswer("I think it is 4", marked=False)),
        ("First we add 3 and", "cot", ExtractedAnswer("First we add 3 and", marked=False, cut_off=True)),
        ("So the answer is ", "cot", ExtractedAnswer("So the answer is", marked=False, cut_off=True)),
        ("the answer is 3. No, the answer is 4.", "cot", ExtractedAnswer("3. No,", ambiguous=True)),
        ("So the answer is (A) or (B).", "cot", ExtractedAnswer("(A) or (B)", ambiguous=True)),
        (" (C) ", "direct", ExtractedAnswer("(C)")),
        ("(C)\n(D)", "direct", ExtractedAnswer("(C)\n(D)", ambiguous=True)),
        ("", "direct", ExtractedAnswer("")),
    ],
)
def test_answers(text: str, mode: str, expected: ExtractedAnswer):
    assert extract_bbh(text, mode) == expected


def test_a_known_end_of_generation_decides_what_is_cut_off():
    assert extract_bbh("First we add 3 and", finish="stop").cut_off is False
    assert extract_bbh("I think it is 4.", finish="length").cut_off is True


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="no such way"):
        extract_bbh("4", "both")


def test_the_audit_counts_each_doubt():
    told = audit_extraction(
        [
            extract_bbh("the answer is 4."),
            extract_bbh("so 4"),
            extract_bbh("(A) (B)", "direct"),
            extract_bbh("", "direct"),
        ]
    )
    assert asdict(told) == {"n": 4, "unmarked": 1, "ambiguous": 1, "cut_off": 1, "empty": 1}
