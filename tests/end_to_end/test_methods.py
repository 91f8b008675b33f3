"""A recipe with each method, through the whole job; what is saved loads and is scored again from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tutelage import config as recipes
from tutelage.core.errors import InputError
from tutelage.job.run import run
from tutelage.models import add_adapter, export, load, resolve

METHODS = {
    "rslora": ["tune.rank=4"],
    "dora": ["tune.rank=4"],
    "ia3": ["tune.rank=null"],
    "oft": ["tune.rank=null", "tune.block_size=8"],
    "prompt-tuning": ["tune.rank=null", "tune.virtual_tokens=4"],
    "prefix-tuning": ["tune.rank=null", "tune.virtual_tokens=4"],
    "full": ["tune.rank=null", "tune.train_last=1"],
}


def test_a_model_with_an_adapter_is_not_tuned_as_if_it_had_none(job: Path, tiny_model_folder: Path) -> None:
    """peft puts the new adapter in the old one's place: what was learned first would be gone without a word."""
    source = resolve(str(tiny_model_folder))
    first = add_adapter(load(source), "lora", {"rank": 4}, seed=0)
    export(first, job / "first", merge=False, base=source)
    for method in ("lora", "full"):
        sets = [f"model={job / 'first'}", f"tune.method={method}", "tune.rank=null"]
        recipe = recipes.load(job / "recipe.yaml", sets=sets)
        with pytest.raises(InputError, match="with an adapter cannot be tuned further") as caught:
            run(recipe, out=job / "out")
        assert caught.value.where == "model"
        assert f"export {job / 'first'} --to DIR --merge" in caught.value.fix
        assert not (job / "out").exists()
    with pytest.raises(InputError, match="with an adapter cannot be tuned further"):
        add_adapter(load(resolve(str(job / "first"))), "lora", {"rank": 4}, seed=0)
    export(first, job / "whole", merge=True, base=source)
    assert not load(resolve(str(job / "whole"))).adapter


QUICK = ("ia3", "prefix-tuning")


@pytest.mark.parametrize(
    "method", [m if m in QUICK else pytest.param(m, marks=pytest.mark.long) for m in METHODS]
)
def test_a_recipe_with_this_method_runs_and_its_model_is_scored(job: Path, method: str) -> None:
    sets = [f"tune.method={method}", *METHODS[method], "tune.steps=2", "watch=[]", "retain={}"]
    recipe = recipes.load(job / "recipe.yaml", sets=sets)
    outcome = run(recipe, out=job / "out")
    assert outcome.results["recipe"]["tune"]["method"] == method
    scores = outcome.results["tasks"]["colours"]["tuned"]["rougeL"]
    assert scores["n"] == 6
    loaded = load(resolve(str(job / "out")))
    assert loaded.adapter is (method != "full")
    if method == "full":
        return
    told = json.loads((job / "out" / "model" / "adapter_config.json").read_text("utf-8"))
    wanted = {"rslora": "LORA", "dora": "LORA"}.get(method, method.upper().replace("-", "_"))
    assert told["peft_type"] == wanted
    assert (told.get("use_dora"), told.get("use_rslora")) == (
        (method == "dora", method == "rslora") if wanted == "LORA" else (None, None)
    )
    assert not run(recipe, out=job / "out").fresh


def test_layers_that_the_model_lacks_are_refused_before_the_base_is_asked(job: Path) -> None:
    recipe = recipes.load(job / "recipe.yaml", sets=["tune.targets=[no_such_layer]"])
    with pytest.raises(InputError, match="no_such_layer"):
        run(recipe, out=job / "out")
    assert not (job / "out").exists()
