"""What is minimised in a whole job: read from the recipe, learned, and told by log, card and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tutelage import config as recipes
from tutelage.cli.main import main
from tutelage.config.identity import identity
from tutelage.results.store import Store

PARTS = {"minimised", "prompt_loss", "kl", "l2", "token_weight"}
SHORT = ["tune.steps=2", "watch=[]", "retain={}"]


def run(job: Path, *sets: str, out: str = "out") -> int:
    words = [word for text in (*SHORT, *sets) for word in ("--set", text)]
    return main(["run", str(job / "recipe.yaml"), "--out", str(job / out), *words])


def log(folder: Path) -> list[dict[str, float]]:
    with Store.open(folder / "results.sqlite", read_only=True) as store:
        return store.steps()[1:]  # without step 0


def told(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text("utf-8"))


ALL = [
    "tune.prompt_loss_weight=0.25",
    "tune.label_smoothing=0.1",
    "tune.kl_to_base=0.5",
    "tune.l2_to_base=0.01",
]
FULL = ["tune.method=full", "tune.rank=null", "tune.train_last=1"]


@pytest.mark.parametrize("method", [[], FULL], ids=["lora", "full"])
def test_log_card_and_page_tell_what_was_minimised(
    job: Path, capsys: pytest.CaptureFixture[str], method: list[str]
) -> None:
    assert run(job, *ALL, *method) == 0
    said = capsys.readouterr().err
    assert "self-check: 4 rows as one batch and one by one: loss differs by " in said
    assert ("the base's trained weights are kept too" in said) == bool(method)
    out = job / "out"
    steps = log(out)
    assert len(steps) == 2
    assert all(set(step) >= PARTS - {"token_weight"} for step in steps)
    first, last = steps
    assert first["kl"] == pytest.approx(0.0, abs=1e-5)
    assert first["l2"] == 0.0
    assert last["kl"] > 0
    assert last["l2"] > 0
    assert told(out, "data/card.json")["training"]["objective"] == {
        "completion_loss": 1.0,
        "prompt_loss_weight": 0.25,
        "label_smoothing": 0.1,
        "kl_to_base": 0.5,
        "l2_to_base": 0.01,
    }
    checked = told(out, "tuned.json")["self_check"]
    assert (checked["step"], checked["rows"]) == (0, 4)
    assert 0 <= checked["loss"] < 1e-5
    page = (out / "report.html").read_text("utf-8")
    for title in (
        "Whole objective",
        "Loss of prompts",
        "KL divergence from the base",
        "Squared distance",
    ):
        assert title in page
    assert (
        "completion loss, prompt loss weight 0.25, label smoothing 0.1, kl to base 0.5, l2 to base 0.01"
        in page
    )


STM = ["tune.token_weights=stm", "tune.stm_perplexity=200"]


@pytest.mark.parametrize(
    ("sets", "terms", "line"),
    [
        (["tune.token_weights=dft"], {"token_weights": "dft"}, "token weights dft"),
        (
            ["tune.token_weights=asft", "tune.packing=true"],
            {"token_weights": "asft", "kl_to_base": 0.1},
            "token weights asft, kl to base 0.1",
        ),
        (
            STM,
            {"token_weights": "stm", "stm_perplexity": 200.0},
            "token weights stm, stm perplexity 200",
        ),
        (
            [*STM, *FULL],
            {"token_weights": "stm", "stm_perplexity": 200.0},
            "token weights stm, stm perplexity 200",
        ),
    ],
    ids=["dft", "asft, packed", "stm", "stm, full"],
)
def test_log_card_and_page_tell_how_tokens_were_weighed(
    job: Path, sets: list[str], terms: dict[str, Any], line: str
) -> None:
    assert run(job, *sets) == 0
    steps = log(job / "out")
    assert all(0 < step["token_weight"] < 1 for step in steps)
    assert all(step["minimised"] < step["loss"] for step in steps)
    objective = told(job / "out", "data/card.json")["training"]["objective"]
    assert objective == {"completion_loss": 1.0, **terms}
    page = (job / "out" / "report.html").read_text("utf-8")
    assert f"completion loss, {line}" in page
    assert "Mean weight of a token" in page


def test_completions_alone_tell_no_parts(job: Path) -> None:
    assert run(job) == 0
    assert not any(PARTS & set(step) for step in log(job / "out"))
    assert told(job / "out", "data/card.json")["training"]["objective"] == {"completion_loss": 1.0}
    page = (job / "out" / "report.html").read_text("utf-8")
    assert "Minimised" not in page
    assert "that is minimised" not in page


def test_a_prompt_loss_where_nothing_predicts_prompts_is_refused_before_anything_is_written(
    job: Path, tiny_t5_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(job, f"model={tiny_t5_folder}", "tune.prompt_loss_weight=0.1") == 2
    said = capsys.readouterr().err
    assert "tune.prompt_loss_weight" in said
    assert "the prompts of t5 models have no loss" in said
    assert not (job / "out").exists()


def test_a_part_at_weight_0_names_no_run(job: Path) -> None:
    def resolved(*sets: str) -> Any:
        return recipes.resolved(recipes.load(job / "recipe.yaml", sets=list(sets)))

    plain = resolved()
    assert not {"prompt_loss_weight", "label_smoothing", "kl_to_base", "l2_to_base"} & set(plain["tune"])
    assert resolved("tune.kl_to_base=0", "tune.label_smoothing=0.0") == plain
    held = resolved("tune.kl_to_base=0.5")
    assert held["tune"] == {**plain["tune"], "kl_to_base": 0.5}
    assert recipes.resolved(recipes.from_mapping(held, root=job)) == held


@pytest.mark.parametrize("way", ["dft", "asft", "stm"])
def test_only_weights_of_tokens_that_are_asked_for_name_a_run(job: Path, way: str) -> None:
    def loaded(*sets: str) -> Any:
        return recipes.load(job / "recipe.yaml", sets=list(sets))

    plain = recipes.resolved(loaded())
    assert recipes.resolved(loaded("tune.token_weights=none")) == plain
    weighed = loaded(f"tune.token_weights={way}")
    held = recipes.resolved(weighed)
    added = {"token_weights": way, **({"stm_perplexity": 2.5} if way == "stm" else {})}
    assert held["tune"] == {**plain["tune"], **added}
    assert recipes.resolved(recipes.from_mapping(held, root=job)) == held
    assert identity(weighed)["tune"] == {**identity(loaded())["tune"], "token_weights": way}
