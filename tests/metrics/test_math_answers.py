from __future__ import annotations

from dataclasses import asdict

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.metrics.answer_extraction import audit_extraction
from tutelage.metrics.math_answers import extract_gsm8k, extract_number, reference_number


@pytest.mark.parametrize(
    ("text", "rule", "answer"),
    [
        ("It is 7.\n#### 1,200", "strict", "1200"),
        ("It is 7.", "strict", None),
        ("The answer is -3. Or 4.", "cot", "-3"),
        ("The answer is 3", "cot", None),
        ("The answer is 13", "cot", "1"),
        ("It is $1,200. Or $7.50!", "flexible", "7.50"),
        ("It is seven.", "flexible", None),
        ("It is $1,200.00", "last", "1200"),
        ("It is 18.50 in all", "last", "18.5"),
        ("10 - 3 = 7, or 10-3", "last", "3"),
        ("It fell to -3.", "last", "-3"),
        ("It is .5,", "last", "0.5"),
        ("It is 0.00", "last", "0"),
        ("none", "last", None),
    ],
)
def test_the_four_rules(text: str, rule: str, answer: str | None):
    assert extract_number(text, rule) == answer


@pytest.mark.parametrize(
    ("reference", "rule", "answer"),
    [
        ("3 * 6 = 18\n#### 18", "strict", "18"),
        ("1,800", "flexible", "1800"),
        ("$18.", "cot", "18"),
        ("3 * 6 = 18.0\n#### 18.0", "last", "18"),
    ],
)
def test_a_reference_is_a_solution_or_a_number(reference: str, rule: str, answer: str):
    assert reference_number(reference, rule) == answer


def test_one_text_is_read_by_all_rules_in_one_run():
    rules = ["strict", "cot", "flexible", "last"]
    rows = [
        Row("So 18.\n#### 18", ("#### 18",)),
        Row("The answer is 18.", ("#### 18",)),
        Row("The answer is $18.00.", ("#### 18",)),
        Row("18? I cannot say.", ("#### 18",)),
    ]
    scores = score_rows([f"gsm8k:extract={rule}" for rule in rules], rows)
    assert {metric: score.items.tolist() for metric, score in scores.items()} == {
        "gsm8k:extract=strict": [1, 0, 0, 0],
        "gsm8k:extract=cot": [0, 1, 0, 0],
        "gsm8k:extract=flexible": [1, 1, 0, 1],
        "gsm8k:extract=last": [1, 1, 1, 1],
    }


@pytest.mark.parametrize(
    ("text", "rule", "finish", "doubts"),
    [
        ("#### 18", "strict", "stop", ()),
        ("#### 18\n#### 1,8", "strict", "stop", ()),
        ("#### 18\n#### 19", "strict", "stop", ("ambiguous",)),
        ("18", "strict", "stop", ("unmarked", "empty")),
        ("#### 18 and then", "strict", "length", ()),
        ("So 6 * 3", "strict", "length", ("unmarked", "empty", "cut_off")),
        ("So 6 * 3", "last", "length", ("cut_off",)),
        ("The answer is 18. The answer is 18!", "cot", None, ()),
    ],
)
def test_doubts_about_an_answer(text: str, rule: str, finish: str | None, doubts: tuple[str, ...]):
    counts = asdict(audit_extraction([extract_gsm8k(text, rule, finish=finish)]))
    assert {name for name, count in counts.items() if count and name != "n"} == set(doubts)


def test_a_row_without_reference_is_an_error():
    with pytest.raises(InputError, match="needs a reference"):
        score_rows(["gsm8k"], [Row("#### 18", ())])
