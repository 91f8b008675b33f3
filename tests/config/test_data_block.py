"""The data block of a recipe: what may stand there, and what it hands to the readers."""

from __future__ import annotations

import pytest

from tutelage.config import from_mapping, load, resolved
from tutelage.config.data_block import Data
from tutelage.core.errors import InputError
from tutelage.data import LabelNames


def block(**said):
    return from_mapping({"tasks": [{"name": "t", "data": said}]}).tasks[0].data


def test_everything_comes_out_as_it_was_said():
    said = {
        "path": ["a.en", "a.de"],
        "layout": "translation",
        "turns": "last",
        "columns": ["en", "de"],
        "labels": {"names": {"0": "no", "1": "yes"}, "column": "y", "options": True},
        "on_bad_row": "drop",
    }
    source = block(**said).source()
    assert source.path == ("a.en", "a.de")
    assert (source.layout, source.turns, source.columns, source.on_bad_row) == (
        "translation", "last", ("en", "de"), "drop",
    )  # fmt: skip
    assert source.labels == LabelNames({"0": "no", "1": "yes"}, None, "y", options=True)
    hub = block(hub="who/what@main", hub_config="en", hub_split="test", local="x").source()
    assert (hub.hub, hub.hub_config, hub.hub_split, hub.local) == ("who/what@main", "en", "test", "x")


def test_a_resolved_recipe_loads_again_as_the_same():
    said = {"path": ["a.en", "a.de"], "labels": {"names": ["no", "yes"]}, "columns": ["en", "de"]}
    recipe = from_mapping({"tasks": [{"name": "t", "data": said}]})
    assert from_mapping(resolved(recipe)).tasks == recipe.tasks


@pytest.mark.parametrize(
    ("said", "where", "problem", "fix"),
    [
        ({"path": []}, "tasks.0.data.path", "not a path", "path: rows.jsonl"),
        ({"path": 3}, "tasks.0.data.path", "not a path", "path: rows.jsonl"),
        (
            {"path": "a", "layout": "mesages"},
            "tasks.0.data.layout",
            "no such layout",
            "did you mean messages?",
        ),
        ({"path": "a", "turns": "all"}, "tasks.0.data.turns", "", "every"),
        ({"path": "a", "on_bad_row": "skip"}, "tasks.0.data.on_bad_row", "", "stop"),
        ({"path": "a", "hub_config": "x"}, "tasks.0.data", "hub_config goes with hub", "remove hub_config"),
        ({"path": "a", "labels": {}}, "tasks.0.data.labels", "stand in the recipe or in a file", "names:"),
        (
            {"path": "a", "labels": {"names": [0, 1]}},
            "tasks.0.data.labels.names",
            "not a list of label names",
            "texts",
        ),
        (
            {"path": "a", "labels": {"names": ["a"], "file": "b"}},
            "tasks.0.data.labels",
            "stand in",
            "keep one",
        ),
    ],
)
def test_a_mistake_is_told_with_its_field(said, where, problem, fix):
    with pytest.raises(InputError) as caught:
        block(**said)
    assert where in caught.value.where
    assert problem in caught.value.problem
    assert fix in f"{caught.value.expected} {caught.value.fix}"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/rows.v2.jsonl", "rows.v2"),
        ("rows.jsonl.gz", "rows"),
        ("t0/*.jsonl", "t0"),
        ("../*.jsonl", "task"),
        (["x/train.en.gz", "x/train.de.gz"], "train.en"),
        ("my rows.csv", "my-rows"),
    ],
)
def test_a_task_is_called_as_its_first_file(path, name):
    assert Data(path=path).default_name() == name


def test_two_tasks_over_lists_of_files_may_not_share_a_name(tmp_path):
    (tmp_path / "r.yaml").write_text("tasks:\n- data: {path: [a.jsonl, b.jsonl]}\n- data: {path: a.csv}\n")
    with pytest.raises(InputError, match="two of one name"):
        load(tmp_path / "r.yaml")
