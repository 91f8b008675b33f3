"""What a recipe says of its method: read, or refused by name with the reason."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import yaml

from tutelage.config import from_mapping, load, resolved
from tutelage.config.contradictions import check_tune, find_contradictions
from tutelage.config.data_block import Data
from tutelage.config.schema import Recipe, Tune
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, InputErrors, MachineError
from tutelage.job.run import run
from tutelage.models import methods

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
    assert set(VALUES) == set(methods.method_fields())
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
        assert methods.methods_reading(field)[0] in caught.value.fix
        assert load(path, [f"tune.{field}=null"]).tune.method == name


@pytest.mark.parametrize("name", methods.table())
def test_the_resolved_recipe_has_what_is_read_and_loads_again(written, name):
    recipe = load(written(method=name))
    tune = resolved(recipe)["tune"]
    assert {f for f in VALUES if f in tune} == {f for f, v in recipe.tune.options.items() if v is not None}
    assert tune["learning_rate"] == methods.find(name).rate
    again = load(written(**tune))
    assert resolved(again)["tune"] == tune


IN_RECIPES = {"activation_checkpointing": True, "packing": True, "l2_to_base": 0.5}
FORBIDDEN = [
    (method.name, subject)
    for method in methods.table().values()
    for subject in IN_RECIPES
    if subject in method.cannot
]


def test_what_the_table_forbids_is_known_here():
    said = {subject for method in methods.table().values() for subject in method.cannot}
    assert said == {*IN_RECIPES, "merge", "combine"}
    assert ("prefix-tuning", "activation_checkpointing") in FORBIDDEN
    assert {name for name, subject in FORBIDDEN if subject == "packing"} == {"prefix-tuning", "prompt-tuning"}
    assert {name for name, subject in FORBIDDEN if subject == "l2_to_base"} == {
        *("dora", "ia3", "oft", "prompt-tuning", "prefix-tuning")
    }


@pytest.mark.parametrize(("name", "other"), FORBIDDEN)
def test_what_cannot_be_combined_is_refused_with_the_reason(written, name, other):
    path = written(method=name, **{other: IN_RECIPES[other]})
    with pytest.raises(InputError, match=f"{name} cannot be combined with {other}") as caught:
        load(path)
    assert re.search(rf"recipe\.yaml:\d+: tune\.{other}$", caught.value.where)
    assert caught.value.found == methods.find(name).cannot[other]
    off = 0 if other == "l2_to_base" else False
    assert find_contradictions({"tune": {"method": name, other: off}}, ".".join) == []
    assert load(written(method="lora", **{other: IN_RECIPES[other]})).tune.method == "lora"


@pytest.mark.parametrize("name", methods.table())
def test_what_has_no_merge_or_sum_says_so(name):
    """tests/models/test_methods.py and test_combine.py meet these refusals with adapters that were made."""
    method = methods.find(name)
    for subject, problem in {
        "merge": "merged into the weights",
        "combine": "added to another adapter",
    }.items():
        if subject not in method.cannot:
            method.refuse(subject, where="here", fix="")
            continue
        with pytest.raises(InputError, match=f"{name} cannot be {problem}") as caught:
            method.refuse(subject, where="here", fix="")
        assert caught.value.found == method.cannot[subject]


def test_all_that_cannot_be_combined_is_told_at_once(written):
    with pytest.raises(InputErrors) as caught:
        load(written(method="prefix-tuning", rank=4, **IN_RECIPES))
    assert [error.where.rpartition(".")[2] for error in caught.value.errors] == ["rank", *IN_RECIPES]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("prompt_loss_weight", 1.01, "1.0 or less"),
        ("prompt_loss_weight", -0.1, "0.0 or more"),
        ("label_smoothing", 1.0, "less than 1.0"),
        ("kl_to_base", -1.0, "0.0 or more"),
        ("l2_to_base", -1.0, "0.0 or more"),
    ],
)
def test_parts_of_the_objective_have_their_ranges(written, field, value, expected):
    with pytest.raises(InputError, match="out of range") as caught:
        load(written(**{field: value}))
    assert caught.value.where.endswith(f"tune.{field}")
    assert caught.value.expected == expected


@pytest.mark.parametrize("others", [{}, {"token_weights": "dft"}])
def test_a_perplexity_that_nothing_reads_is_refused(written, others):
    with pytest.raises(InputError, match="nothing that reads it") as caught:
        load(written(stm_perplexity=3.0, **others))
    assert caught.value.where.endswith("tune.stm_perplexity")
    stm = {"token_weights": "stm"}
    assert load(written(stm_perplexity=3.0, **stm)).tune.terms()["stm_perplexity"] == 3.0
    with pytest.raises(InputError, match="out of range") as caught:
        load(written(stm_perplexity=1.0, **stm))
    assert caught.value.expected == "more than 1.0"


def test_two_ways_to_freeze_are_refused(written):
    with pytest.raises(InputError, match="two ways to say"):
        load(written(method="full", freeze=["a*"], train_last=1))


def test_a_recipe_made_in_python_is_held_to_the_same(tmp_path):
    recipe = Recipe(tasks=(Task(data=Data(path="x.jsonl")),), tune=Tune(method="ia3", rank=8))
    with pytest.raises(InputError, match="ia3 does not read rank"):
        run(recipe, out=tmp_path / "out")
    check_tune(Tune(method="ia3"))


def test_qlora_is_refused_before_anything_is_read_where_its_needs_are_not_met(written, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "_has", lambda _: False)
    recipe = load(written(method="qlora"))
    with pytest.raises(MachineError, match="qlora cannot run on this machine") as caught:
        run(recipe, out=tmp_path / "out")
    assert caught.value.found == "the package bitsandbytes is not installed; torch sees no CUDA device"
    assert not (tmp_path / "out").exists()


def test_virtual_tokens_leave_less_room_for_rows(written):
    from tutelage.prepare.preparation import _max_length

    tune = load(written(method="prompt-tuning", virtual_tokens=30)).tune
    assert _max_length(tune, 512) == 482
    assert _max_length(tune, None) == tune.max_length
    with pytest.raises(InputError, match="no room is left") as caught:
        _max_length(tune, 30)
    assert caught.value.where == "tune.virtual_tokens"
    assert _max_length(SimpleNamespace(max_length=100, virtual=0), 512) == 100


def test_the_document_has_the_table():
    text = DOCUMENT.read_text("utf-8")
    for method in methods.table().values():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{method.name}` |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert float(cells[3]) == method.rate, method.name
        assert {word for word in VALUES if f"`{word}`" in cells[2]} == set(method.fields), method.name
        for column, subject in enumerate((*IN_RECIPES, "merge", "combine"), start=4):
            if subject in method.cannot:
                assert cells[column] == "no", (method.name, subject)
            else:
                nothing = method.kind == "full" and subject in ("merge", "combine")
                assert cells[column] == ("" if nothing else "yes"), (method.name, subject)
        for reason in method.cannot.values():
            assert reason in " ".join(text.split()), (method.name, reason)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ({"reach": {"rougel": 40}}, "did you mean rougeL?"),
        ({"reach": {"accuracy": 40}}, "add accuracy to metrics"),
        ({"reach": {"length_ratio": 40}, "metrics": ["rougeL", "length_ratio"]}, "no scale of 0 to 100"),
        ({"reach": {"rougeL": 140}}, "140"),
    ],
)
def test_a_target_is_of_a_metric_that_scores_the_task_in_points(task, says):
    values = {"tasks": [{"data": {"path": "x.jsonl"}, **task}]}
    with pytest.raises(InputError, match=r"tasks\.0\.reach\.") as caught:
        from_mapping(values)
    assert says in str(caught.value)


def test_a_target_of_a_member_of_a_group_of_metrics_is_right():
    values = {"tasks": [{"data": {"path": "x.jsonl"}, "metrics": ["rouge"], "reach": {"rougeLsum": 40}}]}
    assert from_mapping(values).tasks[0].reach == {"rougeLsum": 40.0}
