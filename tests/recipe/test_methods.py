"""What a recipe says of its method: read, or refused by name with the reason."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import yaml

from tutelage.core.errors import InputError, MachineError
from tutelage.models import methods
from tutelage.recipe import load, resolved
from tutelage.recipe.data_block import Data
from tutelage.recipe.methods import check, contradictions
from tutelage.recipe.run import run
from tutelage.recipe.schema import Recipe, Tune
from tutelage.recipe.task_block import Task

DOCUMENT = Path(__file__).parents[2] / "docs" / "methods.md"
VALUES = {
    "rank": 4,
    "alpha": 3.0,
    "dropout": 0.1,
    "targets": ["q_proj"],
    "block_size": 8,
    "virtual_tokens": 5,
    "freeze": ["model.embed_tokens.*"],
    "train_last": 2,
}


@pytest.fixture
def written(tmp_path):
    def write(**tune):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({"tasks": [{"data": {"path": "x.jsonl"}}], "tune": tune}))
        return path

    return write


def test_recipe_and_table_have_the_same_methods_and_fields():
    assert set(get_args(Tune.model_fields["method"].annotation)) == set(methods.table())
    assert set(VALUES) == set(methods.own_fields())
    assert set(VALUES) <= set(Tune.model_fields)


@pytest.mark.parametrize("name", methods.table())
def test_each_field_is_read_or_refused_by_name(written, name):
    method = methods.find(name)
    for field, value in VALUES.items():
        path = written(method=name, **{field: value})
        if field in method.fields:
            options = load(path).tune.options
            assert options[field] == (tuple(value) if isinstance(value, list) else value)
            continue
        with pytest.raises(InputError, match=f"{name} does not read {field}") as caught:
            load(path)
        assert caught.value.where.endswith(f"tune.{field}")
        assert f"--set tune.{field}=null" in caught.value.fix
        assert methods.readers(field)[0] in caught.value.fix
        assert load(path, [f"tune.{field}=null"]).tune.method == name


@pytest.mark.parametrize("name", methods.table())
def test_the_resolved_recipe_has_what_is_read_and_loads_again(written, name):
    recipe = load(written(method=name))
    tune = resolved(recipe)["tune"]
    assert {f for f in VALUES if f in tune} == {f for f, v in recipe.tune.options.items() if v is not None}
    assert tune["learning_rate"] == methods.find(name).rate
    again = load(written(**tune))
    assert resolved(again)["tune"] == tune


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("prefix-tuning", "activation_checkpointing"),
        ("prefix-tuning", "packing"),
        ("prompt-tuning", "packing"),
    ],
)
def test_what_cannot_be_combined_is_refused_with_the_reason(name, other):
    found = contradictions({"method": name, other: True}, ".".join)
    assert [error.where for error in found] == [f"tune.{other}"]
    assert found[0].found == methods.find(name).cannot[other]
    assert contradictions({"method": name, other: False}, ".".join) == []
    assert contradictions({"method": "lora", other: True}, ".".join) == []


def test_a_recipe_file_with_such_a_pair_is_refused_at_load(written):
    with pytest.raises(
        InputError, match="prefix-tuning cannot be combined with activation_checkpointing"
    ) as caught:
        load(written(method="prefix-tuning", activation_checkpointing=True))
    assert re.search(r"recipe\.yaml:\d+: tune\.activation_checkpointing", caught.value.where)
    with pytest.raises(InputError, match="two ways to say"):
        load(written(method="full", freeze=["a*"], train_last=1))


def test_a_recipe_made_in_python_is_held_to_the_same(tmp_path):
    recipe = Recipe(tasks=(Task(data=Data(path="x.jsonl")),), tune=Tune(method="ia3", rank=8))
    with pytest.raises(InputError, match="ia3 does not read rank"):
        run(recipe, out=tmp_path / "out")
    check(Tune(method="ia3"))


def test_qlora_is_refused_before_anything_is_read_where_its_needs_are_not_met(written, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "_has", lambda _: False)
    recipe = load(written(method="qlora"))
    with pytest.raises(MachineError, match="qlora cannot run on this machine") as caught:
        run(recipe, out=tmp_path / "out")
    assert caught.value.found == "the package bitsandbytes is not installed; torch sees no CUDA device"
    assert not (tmp_path / "out").exists()


def test_virtual_tokens_leave_less_room_for_rows(written):
    from tutelage.recipe.prepare import _room

    tune = load(written(method="prompt-tuning", virtual_tokens=30)).tune
    assert _room(tune, 512) == 482
    assert _room(tune, None) == tune.max_length
    with pytest.raises(InputError, match="no room is left") as caught:
        _room(tune, 30)
    assert caught.value.where == "tune.virtual_tokens"
    assert _room(SimpleNamespace(max_length=100, virtual=0), 512) == 100


def test_the_document_has_the_table():
    text = DOCUMENT.read_text("utf-8")
    for method in methods.table().values():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{method.name}` |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert float(cells[3]) == method.rate, method.name
        assert {word for word in VALUES if f"`{word}`" in cells[2]} == set(method.fields), method.name
        for what in ("activation_checkpointing", "packing", "merge", "combine"):
            column = 4 + ["activation_checkpointing", "packing", "merge", "combine"].index(what)
            if what in method.cannot:
                assert cells[column] == "no", (method.name, what)
            else:
                nothing = method.kind == "full" and what in ("merge", "combine")
                assert cells[column] == ("" if nothing else "yes"), (method.name, what)
        for reason in method.cannot.values():
            assert reason in " ".join(text.split()), (method.name, reason)
