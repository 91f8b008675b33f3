"""Task files of lm-evaluation-harness as specs: what is refused, by field. tests/parity/test_lm_eval.py has what is converted."""

from __future__ import annotations

import json

import pytest
import yaml

from tutelage.benchmarks import describe, load
from tutelage.benchmarks.answer_reading import AnswerReading
from tutelage.core.errors import InputError, InputErrors

CHOICES = {
    "task": "hours",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "rows.jsonl", "dev": "dev.jsonl"}},
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": ["yes", "no"],
    "doc_to_target": "label",
}
GENERATED = {
    **{name: value for name, value in CHOICES.items() if name != "doc_to_choice"},
    "output_type": "generate_until",
    "generation_kwargs": {"until": ["\n"], "do_sample": False},
    "metric_list": [{"metric": "exact_match"}],
}
ROWS = [{"question": "Open at 9?", "label": 1}, {"question": "Open at 8?", "label": 0}]


@pytest.fixture
def task(tmp_path):
    """Write a task file, and rows beside it; its path."""

    def write(values, rows=ROWS, **changes):
        text = values if isinstance(values, str) else yaml.safe_dump({**values, **changes}, sort_keys=False)
        (tmp_path / "task.yaml").write_text(text, "utf-8")
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return str(tmp_path / "task.yaml")

    return write


def mistakes(path):
    with pytest.raises(InputError) as raised:
        load(path)
    errors = raised.value.errors if isinstance(raised.value, InputErrors) else (raised.value,)
    return {str(error.where).rpartition(": ")[2]: error for error in errors}


@pytest.mark.parametrize(
    ("values", "changes", "field"),
    [
        (CHOICES, {"use_prompt": "x"}, "use_prompt"),
        (CHOICES, {"process_results": "x"}, "process_results"),
        (CHOICES, {"gen_prefix": "x"}, "gen_prefix"),
        (CHOICES, {"repeats": 2}, "repeats"),
        (CHOICES, {"unsafe_code": True}, "unsafe_code"),
        (CHOICES, {"output_type": "loglikelihood"}, "output_type"),
        (CHOICES, {"doc_to_text": "some words"}, "doc_to_text"),
        (CHOICES, {"doc_to_text": 1}, "doc_to_text"),
        (CHOICES, {"doc_to_choice": ["{{ a }}", "b"]}, "doc_to_choice"),
        (CHOICES, {"doc_to_choice": "{{ options[1:] }}"}, "doc_to_choice"),
        (CHOICES, {"description": "About {{ topic }}."}, "description"),
        (CHOICES, {"dataset_path": "owner/name"}, "dataset_path"),
        (CHOICES, {"dataset_name": "part"}, "dataset_name"),
        (CHOICES, {"dataset_kwargs": {"data_files": "*.jsonl"}}, "dataset_kwargs.data_files"),
        (CHOICES, {"dataset_kwargs": {"data_files": {"test": "rows.txt"}}}, "dataset_kwargs.data_files"),
        (
            CHOICES,
            {"dataset_kwargs": {"data_files": {"test": "rows.jsonl"}, "field": "x"}},
            "dataset_kwargs.field",
        ),
        (CHOICES, {"test_split": None}, "test_split"),
        (CHOICES, {"num_fewshot": 2}, "fewshot_split"),
        (CHOICES, {"num_fewshot": 2, "fewshot_split": "test"}, "fewshot_split"),
        (CHOICES, {"num_fewshot": -1}, "num_fewshot"),
        (CHOICES, {"fewshot_config": {"sampler": "balanced"}}, "fewshot_config.sampler"),
        (CHOICES, {"fewshot_config": {"samples": [{"question": "a"}]}}, "fewshot_config.samples"),
        (CHOICES, {"metric_list": [{"metric": "f1"}]}, "metric_list.0"),
        (CHOICES, {"metric_list": [{"metric": "acc", "aggregation": "median"}]}, "metric_list.0.aggregation"),
        (GENERATED, {"metric_list": [{"metric": "bleu"}]}, "metric_list.0"),
        (GENERATED, {"metric_list": [{"metric": "exact_match", "other": 1}]}, "metric_list.0.other"),
        (GENERATED, {"generation_kwargs": {"do_sample": True}}, "generation_kwargs.do_sample"),
        (GENERATED, {"generation_kwargs": {"temperature": 0.5}}, "generation_kwargs.do_sample"),
        (GENERATED, {"generation_kwargs": {"num_beams": 3}}, "generation_kwargs.num_beams"),
        (GENERATED, {"filter_list": [{"name": "a"}]}, "filter_list.0"),
        (
            GENERATED,
            {"filter_list": [{"name": "a", "filter": [{"function": "majority_vote"}]}]},
            "filter_list.0.filter.0",
        ),
        (
            GENERATED,
            {"filter_list": [{"name": "a", "filter": [{"function": "regex", "group_select": 3}]}]},
            "filter_list.0.filter.0.group_select",
        ),
        (GENERATED, {"doc_to_choice": ["a", "b"]}, "doc_to_choice"),
    ],
)
def test_a_field_that_is_not_supported_is_named(task, values, changes, field):
    found = mistakes(task(values, **changes))
    assert list(found) == [field]
    assert "tutelage harness" in found[field].fix


def test_python_code_is_refused_with_field_and_line(task):
    found = mistakes(task("task: a\ndoc_to_text: !function utils.text\nprocess_docs: !function utils.docs\n"))
    assert sorted(found) == ["doc_to_text", "process_docs"]
    assert ":2: doc_to_text" in found["doc_to_text"].where


def test_all_mistakes_at_once(task):
    assert len(mistakes(task(CHOICES, repeats=2, use_prompt="x", description="{{ a }}"))) == 3


def test_includes(task, tmp_path):
    task(CHOICES)
    (tmp_path / "task.yaml").rename(tmp_path / "base.yaml")
    found = describe(task("include: base.yaml\ntask: changed\ndoc_to_choice: [Yes., No.]\n"))
    assert (found.name, found.choices, found.prompt) == ("changed", ("Yes.", "No."), "{{question}}")
    assert "includes itself" in mistakes(task("include: task.yaml\ntask: a\n"))["include"].problem
    with pytest.raises(InputError, match="the included task"):
        load(task("include: gone.yaml\ntask: a\n"))


@pytest.mark.parametrize(
    ("row", "right"),
    [({"label": 1}, "no"), ({"label": "no"}, "no"), ({"label": "0"}, "yes")],
)
def test_the_target_is_a_number_or_a_choices_text(task, row, right):
    (item,) = load(task(CHOICES, rows=[{"question": "a", **row}])).items
    assert item.references == (right,)


def test_a_target_that_is_both_is_refused(task):
    path = task(CHOICES, rows=[{"question": "a", "label": 1}], doc_to_choice=["1", "2", "3"])
    with pytest.raises(InputError, match="the number of a choice and the text of another"):
        load(path)
    with pytest.raises(InputError, match="none of the choices"):
        load(task(CHOICES, rows=[{"question": "a", "label": 7}]))


def test_a_spec_of_ours_may_read_answers_in_this_way_too(tmp_path):
    spec = {
        "version": 1, "name": "sums", "title": "Sums", "data": {"path": "rows.jsonl"}, "form": "text", "kind": "generate",
        "prompt": "{{ question }}", "answer": "{{ label }}", "max_new_tokens": 4, "metrics": ["exact_match"],
        "reading": {"pattern": r"(\d+)", "take": "last", "ignore": ["case"]},
    }  # fmt: skip
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n", "utf-8")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    changed = load(str(tmp_path)).fingerprint
    spec["reading"] = {"pattern": r"(\d+)"}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    assert load(str(tmp_path)).fingerprint != changed
    spec["reading"] = {"pattern": "("}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    with pytest.raises(InputError, match="no regular expression"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("settings", "text", "answer"),
    [
        ({}, " a ", "[ a ]"),
        ({"strip": True}, " a ", "[a]"),
        ({"pattern": r"\d+"}, "1 and 2", "[1]"),
        ({"pattern": r"is (\d+)", "take": "last"}, "is 1, is 2", "[2]"),
        ({"pattern": r"(a)?(b)?c"}, "bc ac", "[b]"),
        ({"pattern": r"(a)|(b)?c"}, "c", "[[invalid]]"),
        ({"pattern": r"x", "missing": "none"}, "y", "[none]"),
        ({"ignore": ("case", "punctuation", "numbers")}, "A, 1b!", "[a b]"),
        ({"remove": (r"\.$", "a+")}, "caat.", "[ct]"),
    ],
)
def test_reading(settings, text, answer):
    assert AnswerReading(**settings).answer(text) == answer
