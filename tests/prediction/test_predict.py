"""Answers to rows: those that a run stored, in every layout, format and way of asking, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from prediction.conftest import ROWS, write_rows
from tutelage.core.errors import InputError
from tutelage.prediction.options import PredictionOptions
from tutelage.prediction.predict import Predictions, predict


def rows_of(task: str, split: str = "test") -> list[dict[str, Any]]:
    return [row for row in ROWS[task] if row["split"] == split]


def ask(finished: Path, rows: Any, **options: Any) -> Predictions:
    options = {"model": str(finished), "recipe": finished.parent / "recipe.yaml", **options}
    return predict(PredictionOptions(**options), rows)


@pytest.mark.parametrize("task", ["colours", "moods", "few", "chats"])
def test_the_test_rows_of_a_run_get_the_answers_that_it_stored(task, finished, stored, tmp_path):
    file = write_rows(tmp_path / "new.jsonl", rows_of(task))
    ask(finished, file, task=task, out=tmp_path / "out.jsonl")
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").split("\n")[:-1]]
    assert [(record["prediction"], record["finish"]) for record in records] == [
        (response.text, response.finish) for _, response in stored[task]
    ]
    chosen = stored.get(f"{task} (rank classification)", [])
    likelihoods = [tuple(r["log_likelihoods"].values()) for r in records if "log_likelihoods" in r]
    assert likelihoods == [pytest.approx(response.logprobs, abs=1e-5) for _, response in chosen]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.jsonl", "out.jsonl"]


@pytest.mark.parametrize("task", ["colours", "few", "chats"])
def test_rows_without_answers_get_the_same(task, finished, tmp_path):
    with_answers = rows_of(task)
    without = {
        "colours": lambda row: {"question": row["question"]},
        "few": lambda row: {"first": row["first"]},
        "chats": lambda row: {"messages": row["messages"][:-1]},
    }[task]
    first = ask(finished, with_answers, task=task).records
    again = ask(finished, [without(row) for row in with_answers], task=task).records
    last_turns = first[1::2] if task == "chats" else first
    assert [record["prediction"] for record in again] == [record["prediction"] for record in last_turns]


def test_labels_of_a_kind_need_not_stand_in_the_rows(finished):
    (record,) = ask(finished, [{"text": "Plan 3 is red, I am so sorry."}], task="moods").records
    assert set(record["log_likelihoods"]) == {"bad", "good"}
    assert record["finish"] in ("stop", "length")


def test_formats_hold_the_same_records_in_the_order_of_the_input(finished, tmp_path):
    rows = [{"id": f"b{9 - i}", "question": f'A "b",\n{i}?', "n": i} for i in range(4)]
    rows.append({"id": "b0", "question": "?"})
    file = write_rows(tmp_path / "new.jsonl", rows)
    expected = ask(finished, file, task="colours", keep=("n", "question")).records
    assert [record["id"] for record in expected] == [row["id"] for row in rows]
    assert [record["question"] for record in expected] == [row["question"] for row in rows]
    for suffix in (".jsonl", ".parquet", ".csv", ".tsv"):
        out = tmp_path / f"out{suffix}"
        ask(finished, file, task="colours", keep=("n", "question"), out=out)
        if suffix in (".csv", ".tsv"):
            with out.open(encoding="utf-8", newline="") as lines:
                found = list(csv.DictReader(lines, delimiter="," if suffix == ".csv" else "\t"))
            assert found == [
                {name: "" if value is None else str(value) for name, value in record.items()}
                for record in expected
            ]
        elif suffix == ".jsonl":
            assert [json.loads(line) for line in out.read_text("utf-8").split("\n")[:-1]] == list(expected)
        else:
            assert parquet.read_table(out).to_pylist() == list(expected)


def test_a_sample_depends_on_seed_and_place_alone(finished):
    rows = [{"question": f"What is {i}?"} for i in range(4)]
    options = {"task": "colours", "temperature": 1.5, "seed": 3}
    three = ask(finished, rows, n=3, **options).records
    assert [(record["id"], record["sample"]) for record in three] == [
        (i, sample) for i in range(1, 5) for sample in (1, 2, 3)
    ]
    one = ask(finished, rows[:2], **options).records
    assert [record["prediction"] for record in one] == [record["prediction"] for record in three[:6:3]]
    assert len({record["prediction"] for record in three}) > 4
    other = ask(finished, rows, n=3, **{**options, "seed": 4}).records
    assert [record["prediction"] for record in other] != [record["prediction"] for record in three]


def test_a_plain_model_reads_the_columns_names_or_a_template(tiny_model_folder, tmp_path):
    model = str(tiny_model_folder)
    by_name = predict(PredictionOptions(model=model, max_new_tokens=5), [{"question": "Is it red?"}])
    stated = PredictionOptions(model=model, max_new_tokens=5, prompt="{{ words }}")
    by_template = predict(stated, [{"words": "Is it red?", "more": 1}])
    line = predict(stated, ["Is it red?", "", "Is it blue?"])
    (tmp_path / "lines.txt").write_bytes(b"Is it red?\r\n\nIs it blue?")
    assert predict(stated, tmp_path / "lines.txt") == line
    texts = {result.records[0]["prediction"] for result in (by_name, by_template, line)}
    assert len(texts) == 1
    assert [record["id"] for record in line.records] == [1, 3]
    assert line.cut == sum(record["finish"] == "length" for record in line.records)
    with pytest.raises(InputError, match="which one is the prompt") as refused:
        predict(PredictionOptions(model=model), [{"a": "x", "b": "y"}])
    assert refused.value.fix == "say it: --prompt '{{ a }}'"


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ({}, [{"question": "x"}], "the run has several tasks"),
        ({"task": "colour"}, [{"question": "x"}], "the run has no such task"),
        ({"task": "colours", "prompt": "{{ x }}"}, [{"x": "x"}], "the prompt is not a run's"),
        ({"task": "colours"}, [{"answer": "x"}], "question"),
        ({"task": "colours"}, [], "there is nothing to answer"),
        ({"task": "colours", "n": 2}, ["x"], "nothing is sampled at temperature 0"),
        ({"task": "colours", "top_p": 0.5}, ["x"], "nothing is sampled at temperature 0"),
        ({"task": "colours", "temperature": 1.0, "top_p": 0.0}, ["x"], "top_p is out of bounds"),
        ({"task": "colours", "max_new_tokens": 600}, ["x"], "no room is left for a prompt"),
        ({"task": "colours", "keep": ("a",)}, ["x"], "no row has a column to keep"),
        ({"task": "colours", "keep": ("all",)}, [{"question": "x", "finish": 1}], "like one of the output"),
        ({"task": "moods"}, [{"other": "x"}], "the rows lack what sentiment asks about: text"),
        ({"task": "colours", "out": Path("answers.xls")}, ["x"], "in which format"),
    ],
)
def test_mistakes_are_found_before_weights_are_loaded(options, rows, message, finished, monkeypatch):
    monkeypatch.setattr("tutelage.prediction.asker.load", lambda *_, **__: pytest.fail("weights were loaded"))
    with pytest.raises(InputError, match=message):
        ask(finished, rows, **options)


def test_a_file_that_is_there_is_not_replaced(finished, tmp_path):
    out = tmp_path / "mine.csv"
    out.write_text("mine", "utf-8")
    with pytest.raises(InputError, match="there is a file of this name"):
        ask(finished, ["x"], task="colours", out=out)
    assert out.read_text("utf-8") == "mine"
