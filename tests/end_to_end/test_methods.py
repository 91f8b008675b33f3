"""A recipe with each method, through the whole job; what is saved loads and is scored again from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tutelage import recipe as recipes
from tutelage.models import load, resolve
from tutelage.recipe.run import run

METHODS = {
    "rslora": ["tune.rank=4"],
    "dora": ["tune.rank=4"],
    "ia3": ["tune.rank=null"],
    "oft": ["tune.rank=null", "tune.block_size=8"],
    "prompt-tuning": ["tune.rank=null", "tune.virtual_tokens=4"],
    "prefix-tuning": ["tune.rank=null", "tune.virtual_tokens=4"],
    "full": ["tune.rank=null", "tune.train_last=1"],
}


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
