"""IFEval's metrics over rows, and the mistakes of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tutelage.core.errors import InputError, InputErrors
from tutelage.metrics import Row, check_rows, expand, score_rows
from tutelage.metrics.ifeval import language

NO_COMMA, QUOTED = "punctuation:no_comma", "startend:quotation"
LANGUAGE = "language:response_language"


def row(prediction: str, *kinds: str, arguments: list[Any] | None = None) -> Row:
    fields: dict[str, Any] = {
        "instruction_id_list": list(kinds),
        "kwargs": [{}] * len(kinds) if arguments is None else arguments,
    }
    return Row(prediction, ("",), fields)


def test_prompts_and_instructions_strict_and_loose():
    rows = [
        row('"It rained."', NO_COMMA, QUOTED),
        row("It rained, it stopped.", NO_COMMA),
        row('Sure, here:\n"It rained."', NO_COMMA, QUOTED, "detectable_format:title"),
        row("", NO_COMMA),
    ]
    scores = score_rows(["ifeval"], rows)
    values = {metric: score.score.value for metric, score in scores.items()}
    assert values == {
        "ifeval_prompt_strict": 1 / 4,
        "ifeval_instruction_strict": 2 / 7,
        "ifeval_prompt_loose": 1 / 4,
        "ifeval_instruction_loose": 4 / 7,
    }
    np.testing.assert_array_equal(
        scores["ifeval_instruction_loose"].statistics, [[2, 2], [0, 1], [2, 3], [0, 1]]
    )
    np.testing.assert_array_equal(scores["ifeval_prompt_loose"].items, [1, 0, 0, 0])
    for score in scores.values():
        assert 0 < score.score.low < score.score.value < score.score.high < 1


def test_the_name_of_the_group_stands_for_four_metrics_the_strict_one_by_prompt_first():
    assert expand(["ifeval"])[0] == "ifeval_prompt_strict"
    assert len(expand(["ifeval"])) == 4


def test_nulls_are_arguments_that_are_not_there():
    arguments = {"num_words": 2.0, "relation": "at least", "letter": None}
    scored = score_rows(
        ["ifeval_prompt_strict"], [row("a b", "length_constraints:number_words", arguments=[arguments])]
    )
    assert scored["ifeval_prompt_strict"].score.value == 1


@pytest.mark.parametrize(
    ("kinds", "arguments", "place", "text"),
    [
        ([], None, "instruction_id_list", "a list of kinds"),
        ([NO_COMMA], [], "kwargs", "a list of 1 mappings"),
        ([NO_COMMA], ["x"], r"kwargs\[0\]", "a mapping of arguments"),
        (["punctuation:no_coma"], [{}], r"instruction_id_list\[0\]", "did you mean punctuation:no_comma"),
        ([NO_COMMA], [{"keyword": "x"}], r"kwargs\[0\].keyword", "has no arguments"),
        (["startend:end_checker"], [{}], r"kwargs\[0\].end_phrase", "nothing"),
        (["startend:end_checker"], [{"end_phrase": " "}], "end_phrase", "not empty"),
        (["keywords:existence"], [{"keywords": ["a", ""]}], "keywords", "list of texts"),
        (
            ["detectable_format:number_bullet_lists"],
            [{"num_bullets": -1}],
            "num_bullets",
            "whole number from 0",
        ),
        (
            ["detectable_format:number_bullet_lists"],
            [{"num_bullets": True}],
            "num_bullets",
            "whole number from 0",
        ),
        (
            ["length_constraints:number_words"],
            [{"num_words": 5, "relation": "at most"}],
            "relation",
            '"less than" or "at least"',
        ),
        (
            ["length_constraints:nth_paragraph_first_word"],
            [{"num_paragraphs": 2, "nth_paragraph": 0, "first_word": "x"}],
            "nth_paragraph",
            "from 1",
        ),
        (
            ["keywords:letter_frequency"],
            [{"letter": "ab", "let_frequency": 1, "let_relation": "at least"}],
            "letter",
            "one character",
        ),
        ([LANGUAGE], [{"language": "klingon"}], "language", "one of af, ar"),
    ],
)
def test_a_mistake_names_row_field_and_what_is_expected(
    kinds: list[str], arguments: list[Any] | None, place: str, text: str
):
    with pytest.raises(InputError, match=f"row 2, field .*{place}") as error:
        score_rows(["ifeval_prompt_strict"], [row("x", NO_COMMA), row("x", *kinds, arguments=arguments)])
    assert text in str(error.value)


def test_the_mistakes_of_all_rows_are_reported_at_once():
    rows = [row("x", "no:such"), row("x", NO_COMMA), row("x", "startend:end_checker", "startend:quotes")]
    with pytest.raises(InputErrors) as error:
        check_rows(["ifeval"], rows)
    assert [part.where for part in error.value.errors] == [
        "row 1, field instruction_id_list[0]",
        "row 3, field kwargs[0].end_phrase",
        "row 3, field instruction_id_list[1]",
    ]


def test_a_missing_detector_is_reported_before_anything_is_generated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(language, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"tutelage\[ifeval\]"):
        check_rows(["ifeval"], [row("", "change_case:english_capital")])
    check_rows(["ifeval"], [row("", NO_COMMA)])
