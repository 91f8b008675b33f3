"""A run is recognised by its recipe: under old names of fields, and when there are new fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from pydantic import Field

from tutelage.config import from_mapping, load, resolved
from tutelage.config.identity import identity, record, run_folder
from tutelage.config.schema import Recipe
from tutelage.config.tune_block import Tune
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.hashing import of_json
from tutelage.core.validation import field_history
from tutelage.results.run_folder import RunFolder

OLD = """\
name: old
tasks:
  - name: sums
    data: {path: rows.jsonl}
    each: file
    split: {near: 0.9, by: author}
    shots: {alike: false, each: task}
replay:
  from: {data: {path: general.jsonl}, split: {near: 0.7}}
tune: {clip: 0.5, kl_to_base: 0.1}
"""
NEW = """\
name: old
tasks:
  - name: sums
    data: {path: rows.jsonl}
    one_task_per: file
    split: {near_duplicate_threshold: 0.9, group_by: author}
    shots: {same_template: false, sampled_per: task}
replay:
  from: {data: {path: general.jsonl}, split: {near_duplicate_threshold: 0.7}}
tune: {max_grad_norm: 0.5, kl_to_base: 0.1}
"""
# Of these recipes as they were hashed before fields had new names: folders of finished runs are found under them.
FIRST = {
    "name: x\ntasks: [{name: a, data: {path: rows.jsonl}}]": "2d611623ab491d8331ef2c319223ea8f37a63b73f42874cb4ab0de2369ed8efe",
    "name: x\ntasks: [{name: a, data: {path: rows.jsonl}}]\ntune: {method: full, freeze: [a.*], clip: 0.5, steps: 7}": "56cc5d61c617ba6d219c5375e0158cf330565043f433e410a52cdf968eb6038d",
    "name: x\ntasks: [{data: {hub: a/b}, split: {near: 0.9, by: x}, shots: {alike: false, each: task}}]": "324423532eaccfbac98a60ad46d2e794e6e8a7c49893be6eebb3aa678103ac7e",
    "name: x\ntasks: [{name: a, data: {path: rows.jsonl}, split: {column: split}}]": "881dac038c5cdafa37461ab55cf894d0dd1a9451789ddca05a5c97609b312700",
    "name: x\ntasks: [{name: a, data: {path: rows.jsonl}}]\ntune: {kl_to_base: 0.1}": "f509780ea1ad916ef0ee9ae436a96d776fa8192cbd25e3226968ed61348338a1",
}


@pytest.fixture
def written(tmp_path):
    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.mark.parametrize(("text", "name"), FIRST.items())
def test_the_folders_of_finished_runs_keep_their_names(written, text, name):
    recipe = load(written(text))
    assert of_json(identity(recipe)) == name
    assert run_folder(recipe).path.name == f"x-{name[:8]}"


def test_old_names_are_read_with_a_note_and_name_the_same_run(written):
    old, new = load(written(OLD)), load(written(NEW))
    assert (old.tasks, old.replay, old.tune) == (new.tasks, new.replay, new.tune)
    assert not new.notes
    assert run_folder(old).path == run_folder(new).path
    assert resolved(old) == resolved(new)
    assert resolved(new)["tune"]["max_grad_norm"] == 0.5
    assert len(old.notes) == 7
    assert any(
        note.endswith(":10: tune.clip is called max_grad_norm now: the old name is read until 0.2")
        for note in old.notes
    )


def test_an_old_name_can_be_set_and_its_mistake_is_found_where_it_is_written(written):
    path = written(NEW)
    recipe = load(path, ["tasks.0.split.seed=1", "tune.batch_size=4"])
    assert not recipe.notes
    (note,) = load(written(NEW.replace("max_grad_norm: 0.5, ", "")), ["tune.clip=0.25"]).notes
    assert note.startswith("--set tune.clip=0.25: tune.clip")
    with pytest.raises(InputError) as caught:
        load(written(OLD.replace("clip: 0.5", "clip: -1")))
    assert str(caught.value.where).endswith("mine.yaml:10: tune.max_grad_norm")


def test_both_names_of_a_field_are_an_error(written):
    text = NEW.replace("max_grad_norm: 0.5", "max_grad_norm: 0.5, clip: 1.0").replace("seed", "sed")
    with pytest.raises(InputError, match="clip is the old name of max_grad_norm") as caught:
        load(written(text))
    assert not isinstance(caught.value, InputErrors)
    assert str(caught.value.where).endswith("mine.yaml:10: tune.clip")
    assert caught.value.fix == "remove clip"


class NewTune(Tune):
    """How the model is tuned, in a later version."""

    momentum: float = Field(0.5)
    layers: tuple[str, ...] = Field(())


class NewRecipe(Recipe):
    """A recipe of a later version."""

    tune: NewTune = Field(default_factory=NewTune)


def later(**tune: Any) -> dict[str, Any]:
    recipe = from_mapping({"name": "x", "tasks": [{"data": {"path": "rows.jsonl"}}]})
    newer = NewRecipe(**{**dict(recipe), "tune": NewTune(**tune)})
    return field_history.identity(newer, resolved(newer))


def test_a_new_field_is_part_of_the_identity_only_when_it_is_not_at_its_default():
    recipe = from_mapping({"name": "x", "tasks": [{"data": {"path": "rows.jsonl"}}]})
    assert later() == identity(recipe)
    assert later(momentum=0.5, layers=()) == identity(recipe)
    assert later(momentum=0.9) != identity(recipe)
    assert later(momentum=0.9)["tune"]["momentum"] == 0.9


def test_a_field_with_a_changed_default_names_another_run():
    recipe = from_mapping({"name": "x", "tasks": [{"data": {"path": "rows.jsonl"}}]})
    assert identity(recipe)["tune"]["batch_size"] == 8


def test_the_record_of_an_old_run_is_kept_as_it_is(tmp_path, written):
    recipe = load(written(NEW))
    folder = RunFolder(tmp_path / "run")
    assert record(recipe, folder) == resolved(recipe)
    folder.path.mkdir()
    old_record = identity(recipe)  # the first version wrote down what it hashed
    assert old_record["tune"]["clip"] == 0.5
    folder.recipe.write_text(yaml.safe_dump(old_record), "utf-8")
    assert record(recipe, folder) == json.loads(json.dumps(old_record))
    assert record(load(written(NEW), ["tune.seed=1"]), folder)["tune"]["seed"] == 1
    folder.recipe.write_text("tune: [", "utf-8")
    assert record(recipe, folder) == resolved(recipe)
