from __future__ import annotations

import json

import pytest
import yaml

from tutelage.config import from_mapping, load
from tutelage.core.errors import InputError, InputErrors
from tutelage.prepare.reader import read_rows


def recipe(tmp_path, rows, metrics):
    lines = [
        json.dumps({"prompt": f"question {n}?", "completion": "yes", **row}) for n, row in enumerate(rows)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    told = {
        "tasks": [{"data": {"path": "rows.jsonl"}, "metrics": metrics, "split": {"validation": 0, "test": 3}}]
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(told))
    return load(tmp_path / "recipe.yaml")


def test_a_metric_that_cannot_read_a_test_row_is_found_before_a_model_is_loaded(tmp_path):
    rows = [{"must_contain": ["yes"]}] * 6
    good = recipe(tmp_path, rows, ["states_fact", "accuracy"])
    tested = {row.origin.line for row in read_rows(good, None).tasks[0].test}
    bad = [row if n + 1 not in tested else {} for n, row in enumerate(rows)]
    with pytest.raises(InputError) as caught:
        read_rows(recipe(tmp_path, bad, ["accuracy", "states_fact"]), None)
    assert caught.value.where == f"{tmp_path / 'rows.jsonl'}:{min(tested)}, field answerable"
    assert caught.value.found == "no such field"
    assert "metrics.1" in caught.value.fix


@pytest.mark.parametrize("metric", ["perplexity", "brier", "ece", "selective_accuracy"])
def test_what_only_a_file_of_predictions_can_bring_is_no_metric_of_a_recipe(tmp_path, metric):
    with pytest.raises((InputError, InputErrors), match="these answers do not have"):
        recipe(tmp_path, [{}] * 5, [metric])


def test_a_correlation_says_before_the_run_what_stands_for_an_answer_that_is_no_number():
    tasks = [{"data": {"path": "rows.jsonl"}, "metrics": ["spearman"]}]
    with pytest.raises(InputError, match="something that is no number") as caught:
        from_mapping({"tasks": tasks})
    assert "spearman:invalid=-1" in caught.value.fix
    assert from_mapping({"tasks": [{**tasks[0], "metrics": ["spearman:invalid=-1"]}]})


def test_a_metric_without_a_direction_may_follow_but_not_be_the_primary_one(tmp_path):
    assert recipe(tmp_path, [{}] * 5, ["length_ratio", "answer_length"])
    with pytest.raises(InputError, match="cannot be the primary metric") as caught:
        recipe(tmp_path, [{}] * 5, ["answer_length", "accuracy"])
    assert caught.value.where.endswith("tasks.0.metrics")
