"""Rows that are to be answered: each layout reads them without their answers, and makes of them what it makes of the whole rows."""

from __future__ import annotations

import json

import pytest

from tutelage.data import DataSource, LabelNames, load

USER, ASSISTANT = {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}
CASES = {
    "messages": ({"messages": [USER, ASSISTANT]}, {"messages": [USER]}, ("completion",), {}),
    "messages, as prompt": (
        {"prompt": [USER], "completion": [ASSISTANT]},
        {"prompt": [USER]},
        ("completion",),
        {},
    ),
    "messages, second turn": (
        {"messages": [USER, ASSISTANT, USER, ASSISTANT]},
        {"messages": [USER, ASSISTANT, USER]},
        ("completion",),
        {"turns": "last"},
    ),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}]},
        {"conversations": [{"from": "human", "value": "Hi?"}]},
        ("completion",),
        {},
    ),
    "super-ni": (
        {"Definition": "Do it.", "input": "x", "output": ["y"]},
        {"Definition": "Do it.", "input": "x"},
        ("output", "references"),
        {},
    ),
    "self-instruct": (
        {
            "instruction": "Do it.",
            "instances": [{"input": "x", "output": "y"}, {"input": "z", "output": "y"}],
        },
        {"instruction": "Do it.", "instances": [{"input": "x"}, {"input": "z", "output": ""}]},
        ("output",),
        {},
    ),
    "entities": (
        {"tokens": ["Ada", "ran"], "tags": ["B-PER", "O"]},
        {"tokens": ["Ada", "ran"]},
        ("tags", "entities"),
        {},
    ),
    "translation": (
        {"en": "yes", "de": "ja"},
        {"en": "yes"},
        ("target",),
        {"layout": "translation", "columns": ("en", "de")},
    ),
    "classification": (
        {"text": "x", "label": 1},
        {"text": "x"},
        ("label",),
        {"labels": LabelNames(["no", "yes"], options=True)},
    ),
    "plain": ({"question": "x", "answer": "y"}, {"question": "x"}, ("answer",), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_row_without_its_answer_is_the_row_less_its_answer(case, tmp_path):
    whole, bare, answer, options = CASES[case]
    read = {}
    for name, row in (("whole", whole), ("bare", bare)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
        source = DataSource(path=f"{name}.jsonl", needs_answers=name == "whole", **options)
        read[name] = load(source, root=tmp_path)
    assert read["whole"].source["layout"] == read["bare"].source["layout"]
    assert [(row.id.partition("#")[2], row.history) for row in read["whole"].examples] == [
        (row.id.partition("#")[2], row.history) for row in read["bare"].examples
    ]
    for whole_row, bare_row in zip(read["whole"].examples, read["bare"].examples, strict=True):
        expected = {name: value for name, value in whole_row.fields.items() if name not in answer}
        assert {**bare_row.fields, "conversation": expected.get("conversation")} == {
            **expected,
            "conversation": expected.get("conversation"),
        }


def test_a_row_with_its_answer_is_read_as_it_is(tmp_path):
    for case, (row, _, _, options) in CASES.items():
        (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
        learned, answered = (
            load(DataSource(path="rows.jsonl", needs_answers=needed, **options), root=tmp_path)
            for needed in (True, False)
        )
        assert list(learned.examples) == list(answered.examples), case
