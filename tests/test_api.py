from __future__ import annotations

import json

import pytest

import tutelage


def test_a_run_from_a_file_or_a_mapping_is_the_same_run(tmp_path, tiny_model_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"Plan {i}?", "completion": "Yes." if i % 2 else "No."} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    recipe = {
        "name": "plans",
        "model": str(tiny_model_folder),
        "tasks": [{"data": {"path": "rows.jsonl"}, "max_new_tokens": 4}],
        "tune": {"steps": 1},
    }
    (tmp_path / "plans.yaml").write_text(json.dumps(recipe), "utf-8")
    first = tutelage.run(recipe)
    again = tutelage.run("plans.yaml")
    assert first.fresh
    assert not again.fresh
    assert again.folder == first.folder
    changed = tutelage.run("plans.yaml", sets=["tune.steps=2"], out="other")
    (comparison,) = tutelage.compare(str(first.folder), changed.folder)
    assert set(comparison.comparison.tasks) == {"rows"}
    with pytest.raises(tutelage.InputError, match="changes a recipe's file"):
        tutelage.run(recipe, sets=["tune.steps=2"])


def test_an_evaluation_by_name(tmp_path, tiny_model_folder):
    found = tutelage.evaluate(str(tiny_model_folder), "general-probe", limit=1, out=tmp_path / "e")
    assert found.document["benchmarks"]["general-probe"]["scores"]["accuracy"]["n"] == 6


def test_scores_of_rows_and_of_files(tmp_path):
    rows = [tutelage.Row("a b", ("a b",)), tutelage.Row("a", ("b",))]
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prediction": "a b", "target": "a b"}\n{"prediction": "a", "target": "b"}\n', "utf-8")
    assert tutelage.score("accuracy", rows).side.scores["accuracy"].score.value == 0.5
    found = tutelage.score(["accuracy", "rouge1"], path, against=rows)
    assert found.difference["accuracy"].value == 0.0


def test_the_data_folder_of_the_environment_counts_here_too(tmp_path, tiny_model_folder, monkeypatch):
    rows = [{"prompt": f"Plan {i}?", "completion": "Yes." if i % 2 else "No."} for i in range(20)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    monkeypatch.setenv("TUTELAGE_DATA", str(tmp_path / "data"))
    recipe = {
        "model": str(tiny_model_folder),
        "tasks": [{"data": {"hub": "nobody/rows", "local": "rows.jsonl"}, "max_new_tokens": 4}],
        "tune": {"steps": 1},
    }
    assert tutelage.run(recipe, out=tmp_path / "out").fresh
