"""`continues`: whose model a recipe starts from, and what contradicts it."""

from __future__ import annotations

import pytest

from tutelage.config import from_mapping, load, resolved
from tutelage.config.continuation import folder_of, original_model
from tutelage.config.identity import identity
from tutelage.core.errors import InputError

TASKS = [{"name": "a", "data": {"path": "rows.jsonl"}}]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The records of two runs: second continues first."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "first": "model: tiny\n",
        "second": "model: runs/first\ncontinues: runs/first\n",
    }.items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(text)
    return tmp_path / "runs"


def test_a_recipe_without_it_is_what_it_was():
    recipe = from_mapping({"model": "tiny", "tasks": TASKS})
    assert recipe.continues is None
    assert "continues" not in resolved(recipe)
    assert "continues" not in identity(recipe)


@pytest.mark.parametrize("stated", [{}, {"model": "tiny"}, {"model": "runs/second"}])
def test_the_runs_model_takes_the_place_of_none_and_of_the_original_one(runs, stated):
    recipe = from_mapping({**stated, "continues": "runs/second", "tasks": TASKS})
    assert recipe.model == recipe.continues == "runs/second"
    assert resolved(recipe)["continues"] == "runs/second"
    assert identity(from_mapping(resolved(recipe))) == identity(recipe)


def test_another_model_is_refused_with_its_place(runs, tmp_path):
    path = tmp_path / "next.yaml"
    path.write_text("name: x\nmodel: other\ntasks: [{data: {path: rows.jsonl}}]\n")
    with pytest.raises(InputError, match="another model") as caught:
        load(path, continues=runs / "second")
    assert "next.yaml:2: model" in str(caught.value)
    assert "or tiny, which the sequence began with" in str(caught.value)


def test_the_command_line_and_the_file_are_the_same_recipe(runs, tmp_path):
    plain, stating = tmp_path / "next.yaml", tmp_path / "other" / "next.yaml"
    stating.parent.mkdir()
    plain.write_text("tasks: [{data: {path: rows.jsonl}}]\n")
    stating.write_text(f"continues: {runs / 'second'}\ntasks: [{{data: {{path: rows.jsonl}}}}]\n")
    assert identity(load(plain, continues=runs / "second")) == identity(load(stating))
    for change in ("model=other", "continues=runs/first"):
        with pytest.raises(InputError, match="two models to start from"):
            load(plain, (change,), continues=runs / "second")


def test_a_run_that_was_moved_with_the_others_is_found_beside_the_one_that_names_it(runs, tmp_path):
    runs.rename(tmp_path / "moved")
    assert folder_of("runs/first", of=tmp_path / "moved" / "second") == tmp_path / "moved" / "first"
    assert original_model("moved/second") == "tiny"
    assert original_model("nowhere") is None


def test_runs_in_a_circle_have_no_original_model(runs):
    (runs / "first" / "recipe.yaml").write_text("model: runs/second\ncontinues: runs/second\n")
    assert original_model("runs/second") is None
