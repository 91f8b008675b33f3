"""Prompts of rows without answers: those of the same rows with answers, and what columns of questions are recognised."""

from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Origin
from tutelage.templates import WordingOptions, bind_template, find
from tutelage.templates.library import kind_names
from tutelage.templates.questions import detect_prompt, kind_prompts

from .rows import ROWS


def example(fields):
    return Example("rows:1", fields, Origin("rows.jsonl", 1))


@pytest.mark.parametrize("kind", kind_names())
def test_a_kinds_prompts_and_choices_are_those_of_rows_with_answers(kind):
    whole = example(ROWS[kind])
    answers = {find(kind).kind.answer, "rationale", "tags"}
    bare = example({name: value for name, value in ROWS[kind].items() if name not in answers})
    for wording in find(kind).kind.of_group("wordings"):
        selection = find(f"{kind}/{wording.name}")
        template = bind_template(selection, [whole], WordingOptions())
        labels = None if template.binding.labels is None else template.binding.labels.words
        asked = kind_prompts(selection, [bare], WordingOptions(), fields={}, labels=labels, where="task")
        learned, row = template.render(whole, "task"), asked.render(bare, "task")
        assert (row.prompt, row.choices, row.spans) == (learned.prompt, learned.choices, learned.spans)
        assert (row.completion, row.references) == ("", ())


def test_a_missing_column_of_the_prompt_is_named():
    with pytest.raises(InputError, match="the rows lack what summarisation asks about: text"):
        kind_prompts(
            find("summarisation"),
            [example({"summary": "x"})],
            WordingOptions(),
            fields={},
            labels=None,
            where="task",
        )


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"question": "Q", "answer": "A"}, "Q"),
        ({"question": "Q"}, "Q"),
        ({"question": "Q", "context": "C"}, "C\n\nQ"),
        ({"instruction": "I", "input": "J"}, "I\n\nJ"),
        ({"instruction": "I", "output": "O"}, "I"),
        ({"prompt": "P", "topic": "T"}, "P"),
        ({"dialogue": "D", "summary": "S"}, "Summarize the following conversation.\n\nD"),
        ({"dialogue": "D"}, "D"),
        ({"id": "7", "any words": "W"}, "W"),
        ({"n": 3, "text": "T"}, "T"),
    ],
)
def test_columns_say_the_prompt_with_and_without_an_answer(fields, prompt):
    template = detect_prompt([example(fields)], fix=str)
    assert template.render(example(fields), "task").prompt == prompt


@pytest.mark.parametrize("fields", [{"a": "x", "b": "y"}, {"n": 3}, {}])
def test_columns_that_do_not_say_it_are_refused(fields):
    with pytest.raises(InputError, match="which one is the prompt"):
        detect_prompt([example(fields)], fix=str)
