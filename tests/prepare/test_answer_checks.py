"""Test answers before a model is asked: what keeps them from being right is said, and a first metric that is blind is refused."""

from __future__ import annotations

import json

import pytest

from tutelage.config.load import from_mapping
from tutelage.core.errors import InputError
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare.answer_checks import check_answers, long_answers
from tutelage.prepare.preparation import encoder_of, prepare
from tutelage.prepare.reader import read_rows


@pytest.fixture
def prepared(tmp_path, tiny_model_folder):
    """The encoded tasks of rows, and the encoder."""

    def of(answers, **task):
        rows = [{"q": f"Question {n}?", "a": answer, "gold": f"{n}"} for n, answer in enumerate(answers)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        told = {
            "model": str(tiny_model_folder),
            "tasks": [
                {
                    "data": {"path": "rows.jsonl"},
                    "prompt": "{{ q }}",
                    "completion": "{{ a }}",
                    "split": {"test": 4},
                    **task,
                }
            ],
        }
        recipe = from_mapping(told, root=tmp_path)
        tokenizer = load_tokenizer(resolve(recipe.model))
        return prepare(recipe, read_rows(recipe, None), tokenizer).tasks, encoder_of(recipe, tokenizer)

    return of


def test_a_first_metric_that_no_answer_can_satisfy_is_refused_with_one_that_reads_the_rows(prepared):
    answers = [f"यह उत्तर {'क' * n} है" for n in range(1, 13)]
    with pytest.raises(InputError) as error:
        check_answers(*prepared(answers, metrics=["rougeL"]))
    assert error.value.where == "the task rows: metrics.0"
    assert error.value.fix == "rougeL:tokenizer=unicode reads them"
    assert check_answers(*prepared(answers, metrics=["rougeL:tokenizer=unicode"], max_new_tokens=256)) == []


def test_further_metrics_are_only_named(prepared):
    (line,) = check_answers(*prepared([f"w{n}" for n in range(12)], metrics=["exact_match", "rouge2"]))
    assert line.startswith("rows: rouge2: 4 of 4 references have fewer than 2 words")


def test_answers_that_the_rows_teach_and_the_metric_does_not_take(prepared):
    answers = [f"The answer is {n}." for n in range(12)]
    (line,) = check_answers(*prepared(answers, metrics=["exact_match"], references="gold"))
    assert "4 of 4 answers that the rows teach count as wrong" in line
    assert check_answers(*prepared(answers, metrics=["gsm8k:extract=last"], references="gold")) == []


@pytest.mark.parametrize("limit", [3, 60])
def test_lengths_are_in_the_models_tokens_and_the_proposed_limit_does(prepared, limit):
    answers = ["a b c d e f g h " * (n % 3 + 1) for n in range(12)]
    (task,), encoder = prepared(answers, max_new_tokens=limit, metrics=["exact_match"])
    longest = max(len(encoder.completion_ids(row.completion)) for row in task.rows.test)
    long = long_answers(task, encoder)
    assert (long is None) == (longest <= limit)
    if long is not None:
        proposed = int(long.fix.removeprefix("write max_new_tokens: "))
        assert longest <= proposed < longest + 8
        (task,), encoder = prepared(answers, max_new_tokens=proposed, metrics=["exact_match"])
        assert long_answers(task, encoder) is None
