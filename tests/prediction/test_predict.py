"""Answers to rows: those that a run stored, in every layout, format and way of asking."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from prediction.conftest import ROWS, write_rows

from tutelage.core.errors import InputError
from tutelage.data import read
from tutelage.prediction.options import PredictionOptions
from tutelage.prediction.predict import predict


def test_rows_of_the_run() -> None:
    assert ROWS


@pytest.mark.parametrize("task", ["colours", "moods", "few", "chats"])
def test_the_test_rows_of_a_run_get_the_answers_that_it_stored(task, finished, stored, tmp_path):
    rows = [row for row in ROWS[task] if row["split"] == "test"]
    options = PredictionOptions(
        model=str(finished), task=task, recipe=finished.parent / "recipe.yaml", out=tmp_path / "out.jsonl"
    )
    predict(options, write_rows(tmp_path / "new.jsonl", rows))
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [(r["prediction"], r["finish"]) for r in records] == [
        (response.text, response.finish) for _, response in stored[task]
    ]
    chosen = stored.get(f"{task} (rank classification)", [])
    assert [tuple(r["log_likelihoods"].values()) for r in records if "log_likelihoods" in r] == [
        pytest.approx(response.logprobs, abs=1e-5) for _, response in chosen
    ]
