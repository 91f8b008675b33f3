"""TruthfulQA, HellaSwag, ARC and WinoGrande in their authors' files, and rows that are not as published."""

from __future__ import annotations

import json

import pytest

from tutelage.benchmarks import load
from tutelage.core.errors import InputError


def answers(*right, wrong=("No",)):
    return {**dict.fromkeys(right, 1), **dict.fromkeys(wrong, 0)}


TRUTHS = {
    "question": "Do owls read?",
    "mc1_targets": answers("Never"),
    "mc2_targets": answers("Never", "Not one"),
}
ENDS = {
    "activity_label": "Rowing",
    "ctx_a": "A boat lies there.",
    "ctx_b": "it",
    "endings": ["sinks. [title] So", "[step] flies.", "sings.", "votes."],
    "label": 0,
}
SCIENCE = {
    "id": "Q1",
    "question": {
        "stem": "Which is a metal?",
        "choices": [{"text": "wool", "label": "A"}, {"text": "iron", "label": "B"}],
    },
    "answerKey": "B",
}
GAP = {"sentence": "Ann met Bea because _ was lost.", "option1": "Ann", "option2": "Bea", "answer": "2"}


@pytest.fixture
def data(tmp_path):
    def write(name, rows):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = (
            json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
        )
        path.write_text(whole, "utf-8")
        return tmp_path

    return write


def test_truthfulqa_in_the_authors_file(data):
    folder = data("truthfulqa/mc_task.json", [TRUTHS])
    (first,), (second,) = (load(f"truthfulqa:{way}", data=folder).items for way in ("mc1", "mc2"))
    assert (first.choices, first.references) == (("Never", "No"), ("Never",))
    assert (second.choices, second.references) == (("Never", "Not one", "No"), ("Never", "Not one"))


def test_hellaswag_in_the_authors_file(data):
    (item,) = load("hellaswag", data=data("hellaswag/hellaswag_val.jsonl", [ENDS])).items
    assert item.full_prompt == "Rowing: A boat lies there. It"
    assert item.choices == ("sinks.. So", " flies.", "sings.", "votes.")
    assert item.references == ("sinks.. So",)


def test_arc_in_the_authors_archive(data):
    folder = data("ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Test.jsonl", [SCIENCE])
    benchmark = load("arc", data=folder)
    (item,) = benchmark.items
    assert (item.full_prompt, item.choices, item.references) == (
        "Question: Which is a metal?\nAnswer:",
        ("wool", "iron"),
        ("iron",),
    )
    assert benchmark.missing == ("challenge",)


def test_winogrande_in_the_authors_archive(data):
    (item,) = load("winogrande", data=data("winogrande_1.1/dev.jsonl", [GAP])).items
    assert (item.full_prompt, item.choices, item.continuation) == (
        "Ann met Bea because ",
        ("Ann", "Bea"),
        "was lost.",
    )
    assert item.references == ("Bea",)


@pytest.mark.parametrize(
    ("name", "file", "row", "column"),
    [
        ("truthfulqa", "truthfulqa/mc_task.json", {**TRUTHS, "mc1_targets": answers()}, "mc1_targets"),
        ("truthfulqa", "truthfulqa/mc_task.json", {**TRUTHS, "mc2_targets": "Never"}, "mc2_targets"),
        (
            "truthfulqa",
            "truthfulqa/mc_task.json",
            {**TRUTHS, "mc1_targets": {"choices": ["a", "b"], "labels": [1]}},
            "mc1_targets",
        ),
        ("hellaswag", "hellaswag/hellaswag_val.jsonl", {**ENDS, "endings": "sinks."}, "endings"),
        ("hellaswag", "hellaswag/hellaswag_val.jsonl", {**ENDS, "ctx_b": None}, "ctx_b"),
        ("arc", "ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Test.jsonl", {**SCIENCE, "answerKey": "C"}, "answerKey"),
        ("arc", "ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Test.jsonl", {**SCIENCE, "question": "?"}, "choices"),
        ("winogrande", "winogrande_1.1/dev.jsonl", {**GAP, "sentence": "Ann met Bea."}, "sentence"),
        ("winogrande", "winogrande_1.1/dev.jsonl", {**GAP, "sentence": "Ann met _"}, "sentence"),
    ],
)
def test_a_row_that_is_not_as_published_is_named(data, name, file, row, column):
    with pytest.raises(InputError, match=f"column {column} is not as the benchmark publishes it") as caught:
        load(name, data=data(file, [row]))
    assert caught.value.where == f"{data(file, [row]) / file}:1"
