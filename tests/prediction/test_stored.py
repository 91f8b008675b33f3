"""`export --format predictions`: a run's stored answers as a file that scores to the run's own scores."""

from __future__ import annotations

import json

import pytest

import tutelage
from tutelage.core.errors import InputError
from tutelage.prediction.stored import export_predictions


def test_the_answers_of_a_run_score_to_its_results(finished, stored, tmp_path):
    to = tmp_path / "answers.jsonl"
    assert export_predictions(finished, to) == sum(map(len, stored.values()))
    records = [json.loads(line) for line in to.read_text("utf-8").split("\n")[:-1]]
    assert [r["prediction"] for r in records if r["task"] == "few"] == [r.text for _, r in stored["few"]]
    assert all(isinstance(record["base_prediction"], str) for record in records)
    results = json.loads((finished / "results.json").read_text("utf-8"))
    # Not from the file: the random weights may write a NUL, which data files may not hold.
    rows = [tutelage.Row(r["prediction"], tuple(r["references"]), task=r["task"]) for r in records]
    found = tutelage.score("rougeL", rows).side.by_task
    for task in ("colours", "few", "chats"):
        expected = results["tasks"][task]["tuned"]["rougeL"]["value"]
        assert found[task]["rougeL"].score.value == pytest.approx(expected)
    with pytest.raises(InputError, match="there is a file of this name"):
        export_predictions(finished, to)


def test_an_evaluation_gives_its_benchmarks_answers(tiny_model_folder, tmp_path):
    folder = tutelage.evaluate(str(tiny_model_folder), "general-probe", limit=1, out=tmp_path / "e").folder
    assert export_predictions(folder, tmp_path / "answers.csv") == 6
