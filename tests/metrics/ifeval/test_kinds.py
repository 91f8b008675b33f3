"""Every kind of instruction on responses that follow it and on responses that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.metrics.ifeval.instructions import Instruction, loose_variants, read_instructions
from tutelage.metrics.ifeval.kinds import KINDS
from tutelage.metrics.ifeval.sentences import split_sentences, tokenize

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "kinds.yaml").read_text("utf-8"))


def instruction(kind: str, **arguments: Any) -> Instruction:
    read = read_instructions({"instruction_id_list": [kind], "kwargs": [arguments]}, "row 1")
    assert isinstance(read, tuple)
    return read[0]


@pytest.mark.parametrize("case", CASES, ids=[f"{number} {case['kind']}" for number, case in enumerate(CASES)])
def test_a_kind_tells_responses_that_follow_from_those_that_do_not(case: dict[str, Any]):
    checked = instruction(case["kind"], **case.get("kwargs", {}))
    verdicts = {response: checked.is_followed(response) for response in (*case["follows"], *case["breaks"])}
    assert verdicts == dict.fromkeys(case["follows"], True) | dict.fromkeys(case["breaks"], False)


def test_every_kind_has_responses_on_both_sides():
    assert {case["kind"] for case in CASES} == set(KINDS)
    assert len(KINDS) == 25
    assert all(case["follows"] and case["breaks"] for case in CASES)


@pytest.mark.parametrize("kind", ["punctuation:no_comma", "keywords:forbidden_words"])
@pytest.mark.parametrize("response", ["", " \n"])
def test_an_empty_response_follows_nothing(kind: str, response: str):
    arguments = {"forbidden_words": ["x"]} if kind.startswith("keywords") else {}
    assert not instruction(kind, **arguments).is_followed(response)
    assert not instruction(kind, **arguments).is_followed(response, "loose")


def test_the_eight_loose_variants():
    assert loose_variants("Sure, *ok*:\n *a*\nBye, *x*") == [
        "Sure, *ok*:\n *a*\nBye, *x*",
        "*a*\nBye, *x*",
        "Sure, *ok*:\n *a*",
        "*a*",
        "Sure, ok:\n a\nBye, x",
        "a\nBye, x",
        "Sure, ok:\n a",
        "a",
    ]


@pytest.mark.parametrize(
    ("kind", "response"),
    [
        ("punctuation:no_comma", "Sure, here it is:\nIt rained."),
        ("startend:quotation", '"It rained."\nAnything else?'),
        ("detectable_format:json_format", "Here:\n{}\nBye."),
        ("startend:quotation", '*"It rained."*'),
        ("startend:quotation", 'Here:\n**"It rained."**\nBye.'),
    ],
)
def test_a_loose_verdict_forgives_the_first_line_the_last_line_and_stars(kind: str, response: str):
    assert not instruction(kind).is_followed(response)
    assert instruction(kind).is_followed(response, "loose")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Mr. Ray met Dr. Long in St. Ives. They talked.", 2),
        ("The U.S. team won. It did!", 2),
        ("He came at 5 p.m. They left.", 2),
        ("He came at 5 p.m. on Monday.", 1),
        ("Wait... what? Wait... The end.", 3),
        ("It costs 3.50 at example.com today.", 1),
        ("1. Begin. 2. Stop.", 4),
        ('She said "Go!" and left.', 2),
    ],
)
def test_sentences(text: str, count: int):
    assert len(split_sentences(text)) == count


def test_words_and_marks():
    assert tokenize("Don't go. I can't.") == ["Do", "n't", "go", ".", "I", "ca", "n't", "."]


def test_a_verdict_about_a_language_is_the_same_each_time():
    undecided = instruction("language:response_language", language="de")
    assert len({undecided.is_followed("{river: Rhine}") for _ in range(20)}) == 1
