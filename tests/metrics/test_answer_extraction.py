from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics.answer_extraction import Extracted, audit, bbh


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("2 + 2 is 4. So the answer is 4.", "cot", Extracted("4")),
        ("So the answer is (B)", "cot", Extracted("(B)")),
        ("So the answer is True.\n\nQ: next", "cot", Extracted("True.\n\nQ: next")),
        ("I think it is 4.", "cot", Extracted("I think it is 4", marked=False)),
        ("First we add 3 and", "cot", Extracted("First we add 3 and", marked=False, cut_off=True)),
        ("So the answer is ", "cot", Extracted("So the answer is", marked=False, cut_off=True)),
        ("the answer is 3. No, the answer is 4.", "cot", Extracted("3. No,", ambiguous=True)),
        ("So the answer is (A) or (B).", "cot", Extracted("(A) or (B)", ambiguous=True)),
        (" (C) ", "direct", Extracted("(C)")),
        ("(C)\n(D)", "direct", Extracted("(C)\n(D)", ambiguous=True)),
        ("", "direct", Extracted("")),
    ],
)
def test_answers(text: str, mode: str, expected: Extracted):
    assert bbh(text, mode) == expected


def test_a_known_end_of_generation_decides_what_is_cut_off():
    assert bbh("First we add 3 and", finish="stop").cut_off is False
    assert bbh("I think it is 4.", finish="length").cut_off is True


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="no such way"):
        bbh("4", "both")


def test_the_audit_counts_each_doubt():
    told = audit([bbh("the answer is 4."), bbh("so 4"), bbh("(A) (B)", "direct"), bbh("", "direct")])
    assert told.as_json() == {"n": 4, "unmarked": 1, "ambiguous": 1, "cut_off": 1, "empty": 1}
