"""`protect:`: the base's own answers in training, and the scale of the change that stays within budget, from recipe to page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.benchmarks import load as load_benchmark
from tutelage.cli.main import main
from tutelage.config import load
from tutelage.core.errors import InputError, InputErrors
from tutelage.job import protecting
from tutelage.job.run import run
from tutelage.models import load as load_model
from tutelage.models import resolve
from tutelage.results import tuned_record
from tutelage.results.store import Store

PROBE = "general-probe"


def change(job: Path, **fields: Any) -> Path:
    path = job / "recipe.yaml"
    recipe = {**yaml.safe_load(path.read_text("utf-8")), **fields}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def models_in(folder: Path) -> set[str]:
    with Store.open(folder / "results.sqlite", read_only=True) as store:
        return {evaluation.model for evaluation in store.evaluations()}


@pytest.fixture
def everyday(job: Path) -> Path:
    """A few prompts of the user's own."""
    path = job / "everyday.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Say {n} in words."}) + "\n" for n in range(12)), "utf-8")
    return path


def test_the_bases_own_answers_are_mixed_in(job: Path, everyday: Path) -> None:
    replay = {
        "prompts": everyday.name,
        "share": 0.4,
        "max_new_tokens": 24,
        "temperature": 1.5,
        "draws": 2,
        "top_p": 1.0,
    }
    recipe = change(job, protect={"self_replay": replay})
    results = run(load(recipe), out=job / "out").results
    rows = [
        json.loads(line)
        for line in (job / "out" / "data" / "self_replay.jsonl").read_text("utf-8").splitlines()
    ]
    record = json.loads((job / "out" / "data" / "self_replay.json").read_text("utf-8"))
    counts = record["counts"]
    assert counts["asked"] == 24  # two draws a prompt
    assert counts["kept"] == len(rows) == 24 - counts["cut_off"] - counts["empty"] - counts["degenerate"]
    assert all(row["prompt"].startswith("Say ") and row["completion"] for row in rows)
    card = json.loads((job / "out" / "data" / "card.json").read_text("utf-8"))
    assert card["mixture"]["replay"]["from"] == "self-replay"
    assert card["training"]["tasks"]["self-replay"]["rows"] > 0
    assert set(results["tasks"]) == {"colours"}  # the replayed rows are not asked
    assert results["recipe"]["protect"]["self_replay"]["share"] == 0.4
    assert "replay" not in results["recipe"]
    # Again: neither answered nor tuned again.
    again = run(load(recipe), out=job / "out")
    assert not again.fresh
    # Another folder: the same answers, from the cache or drawn again.
    run(load(recipe), out=job / "other")
    assert (job / "other" / "data" / "self_replay.jsonl").read_bytes() == (
        job / "out" / "data" / "self_replay.jsonl"
    ).read_bytes()


def test_the_base_writes_the_prompts_too(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay = {
        "prompts": "sampled",
        "prompt_samples": 200,
        "prompt_max_tokens": 120,
        "share": 0.3,
        "max_new_tokens": 40,
        "temperature": 1.5,
        "top_p": 1.0,
    }
    recipe = change(job, protect={"self_replay": replay})
    assert main(["run", str(recipe), "--out", str(job / "out")]) == 0
    assert "of 200 sampled prompts are asked; dropped: " in capsys.readouterr().err
    rows = [
        json.loads(line)
        for line in (job / "out" / "data" / "self_replay.jsonl").read_text("utf-8").splitlines()
    ]
    counts = json.loads((job / "out" / "data" / "self_replay.json").read_text("utf-8"))["counts"]
    prompts = counts["prompts"]
    dropped = [prompts[name] for name in ("cut_off", "empty", "degenerate", "duplicates", "watched")]
    assert prompts["kept"] == 200 - sum(dropped) == counts["asked"]
    assert len({row["prompt"] for row in rows}) == len(rows) == counts["kept"]
    card = json.loads((job / "out" / "data" / "card.json").read_text("utf-8"))
    assert card["mixture"]["self_replay"] == counts
    page = (job / "out" / "report.html").read_text("utf-8")
    assert f"{prompts['kept']} of 200 sampled prompts are asked" in page
    assert not run(load(recipe), out=job / "out").fresh
    # Elsewhere, watched otherwise: sampled again, to the same prompts.
    run(load(change(job, watch=[], retain={})), out=job / "other")
    assert (job / "other" / "data" / "self_replay.jsonl").read_bytes() == (
        job / "out" / "data" / "self_replay.jsonl"
    ).read_bytes()


def test_a_whole_change_within_budget_is_delivered_and_no_other_scale_asked(job: Path) -> None:
    recipe = change(
        job,
        protect={"scales": [0.25, 0.5, 1.0]},
        watch=[{"benchmark": PROBE, "limit": 20}],
        retain={PROBE: 100.0},
    )
    results = run(load(recipe), out=job / "out").results
    search = results["protection"]
    assert [(each["scale"], each["within"]) for each in search["candidates"]] == [(1.0, True)]
    assert search["candidates"][0]["gain"] == search["full_gain"]
    assert search["chosen"] == 1.0
    assert models_in(job / "out") == {"base", "tuned", "scale 1"}
    assert not (job / "out" / "candidate").exists()
    assert "kept" in (job / "out" / "report.html").read_text("utf-8")
    assert main(["run", str(recipe), "--out", str(job / "out")]) == 0
    assert not run(load(recipe), out=job / "out").fresh


def test_the_search_stops_at_the_budget_and_leaves_the_scaled_model(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tutelage.protection.scale_search as module

    limit = iter([False, True, False])
    monkeypatch.setattr(
        module,
        "loss_test",
        lambda *_, **__: module.LossTest(5.0, 1.0, 0.0, 2.0, 0.01, 80, next(limit)),
    )
    recipe = change(job, protect={"scales": [0.25, 0.5, 1.0]})
    results = run(load(recipe), out=job / "out").results
    assert results["protection"]["chosen"] == 0.25
    assert [each["scale"] for each in results["protection"]["candidates"]] == [1.0, 0.25, 0.5]
    record = tuned_record.read(job / "out")
    assert record is not None
    assert record["scale"] == 0.25
    unscaled, scaled = (load_model(resolve(str(job / "out" / name))) for name in ("unscaled", "model"))
    a, b = (
        [m.get_delta_weight("default") for m in each.model.modules() if hasattr(m, "get_delta_weight")]
        for each in (unscaled, scaled)
    )
    assert a
    assert all((0.25 * x - y).abs().max() < 1e-6 for x, y in zip(a, b, strict=True))
    # Stopped anywhere behind the delivery: it comes to the same.
    (job / "out" / "results.json").unlink()
    limit = iter([False, True, False])
    again = run(load(recipe), out=job / "out").results
    assert again["tasks"] == results["tasks"]
    assert again["protection"] == results["protection"]
    assert tuned_record.read(job / "out") == record


@pytest.mark.parametrize("step", ["before", "record"])
def test_a_delivery_that_is_stopped_is_taken_up_again(
    job: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Stopped before the scaled model is written, or when both folders have changed places and the record has not."""
    recipe = change(
        job, protect={"scales": [0.5]}, retain={PROBE: 100.0}, watch=[{"benchmark": PROBE, "limit": 20}]
    )

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if step == "record":
            real = tuned_record.write
            patched.setattr(
                protecting.tuned_record,
                "write",
                lambda run, record: stop() if "scale" in record else real(run, record),
            )
        else:
            patched.setattr(protecting, "_deliver", stop)  # the candidates were written and asked
        with pytest.raises(KeyboardInterrupt):
            run(load(recipe), out=job / "out")
    results = run(load(recipe), out=job / "out").results
    fresh = run(load(recipe), out=job / "fresh").results
    assert results["tasks"] == fresh["tasks"]
    assert results["protection"] == fresh["protection"]
    assert tuned_record.read(job / "out")["scale"] == 0.5
    for name in ("model", "unscaled"):
        weights = [next((job / out / name).glob("*.safetensors")).read_bytes() for out in ("out", "fresh")]
        assert weights[0] == weights[1]


def test_no_candidate_within_a_stated_budget_is_exit_code_1(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = change(
        job, protect={"scales": [0.5, 1.0]}, retain={PROBE: 0.5}, watch=[{"benchmark": PROBE, "limit": 2}]
    )
    assert main(["run", str(recipe), "--out", str(job / "out")]) == 1
    results = json.loads((job / "out" / "results.json").read_text("utf-8"))
    assert results["protection"]["chosen"] is None
    assert [each["scale"] for each in results["protection"]["candidates"]] == [1.0, 0.5]
    assert (job / "out" / "model").is_dir()
    assert not (job / "out" / "unscaled").exists()
    assert "No scale of the change can be delivered" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"protect": "auto", "watch": [], "retain": {}}, "nothing is watched"),
        (
            {"protect": "auto", "tune": {"method": "prompt-tuning"}},
            "the change of prompt-tuning cannot be scaled",
        ),
        (
            {"protect": "auto", "replay": {"from": {"data": {"path": "rows.jsonl"}}}},
            "two ways to say what is replayed",
        ),
        ({"protect": "yes"}, "not a way to protect"),
        ({"protect": {"scales": [0.0]}}, "out of range"),
        ({"protect": {"self_replay": {"prompts": "nowhere.jsonl"}}}, "nowhere.jsonl"),
        ({"protect": {"self_replay": {"prompt_samples": 50}}}, "only sampled prompts read prompt_samples"),
        ({"protect": {"self_replay": {"prompts": "sampled", "temperature": 0}}}, "would all be the same one"),
        (
            {
                "protect": {
                    "self_replay": {"prompts": "sampled", "prompt_samples": 32, "prompt_max_tokens": 1}
                }
            },
            "too few of the sampled prompts",
        ),
        ({"protect": {"self_replay": {"prompts": "rows.jsonl"}}}, "a row has no prompt"),
    ],
)
def test_what_cannot_be_protected_is_an_error(job: Path, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises((InputError, InputErrors), match=problem):
        run(load(change(job, **fields)), out=job / "out")


def test_prompts_that_are_watched_are_refused_before_anything_is_asked(job: Path, everyday: Path) -> None:
    item = load_benchmark(PROBE).items[3]
    with everyday.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"prompt": item.prompt}) + "\n")
    recipe = change(job, protect={"self_replay": {"prompts": everyday.name}}, watch=[{"benchmark": PROBE}])
    with pytest.raises(InputError, match="a prompt stands in a watched benchmark") as caught:
        run(load(recipe), out=job / "out")
    assert item.id in str(caught.value)
    assert not (job / "out").exists()


def test_a_validation_row_that_does_not_fit_is_one_mistake(job: Path) -> None:
    rows = [json.loads(line) for line in (job / "rows.jsonl").read_text("utf-8").splitlines()]
    rows[1]["answer"] = "a very long answer " * 60  # a validation row: too long to be trained on
    (job / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["tasks"][0]["data"]["on_bad_row"] = "drop"
    tune = {**recipe["tune"], "max_length": 256}
    recipe_path = change(
        job, tasks=recipe["tasks"], tune=tune, protect={"scales": [1.0]}, retain={PROBE: 100.0}
    )
    run(load(recipe_path), out=job / "out")
    card = json.loads((job / "out" / "data" / "card.json").read_text("utf-8"))["tasks"]["colours"]
    assert [row["where"].rpartition("/")[2] for row in card["dropped"]] == ["rows.jsonl:2"]
    with Store.open(job / "out" / "results.sqlite", read_only=True) as store:
        sizes = {len(each.items()) for each in store.evaluations(suite="validation")}
    assert sizes == {card["splits"]["validation"]}  # what is not trained on is not asked either


def test_without_validation_rows_no_scale_can_be_chosen(job: Path) -> None:
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["tasks"][0]["split"] = {"validation": 0, "test": 6}
    with pytest.raises(InputError, match="gain on validation rows"):
        run(load(change(job, tasks=recipe["tasks"], protect={"scales": [0.5]})), out=job / "out")


def test_a_finished_run_is_protected_without_tuning_again(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = change(job, retain={})
    run(load(recipe), out=job / "out")
    before = (job / "out" / "results.json").read_bytes()
    words = [
        "protect",
        str(job / "out"),
        "--recipe",
        str(recipe),
        "--scale",
        "0.5",
        "--scale",
        "1",
        "--budget",
        f"{PROBE}=100",
        "--json",
    ]
    assert main(words) == 0
    shown = capsys.readouterr()
    results = json.loads(shown.out)
    assert results["recipe"]["protect"]["scales"] == [0.5, 1.0]
    assert results["recipe"]["retain"] == {PROBE: 100.0}
    assert "tune: was done before" in shown.err
    new = job / "out-protected"
    assert (new / "report.html").is_file()
    assert (job / "out" / "results.json").read_bytes() == before
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == results


def test_what_cannot_be_told_is_exit_code_1_with_strict(job: Path) -> None:
    recipe = change(job, retain={PROBE: 30.0}, watch=[{"benchmark": PROBE, "limit": 1}])
    words = ["run", str(recipe), "--out", str(job / "out")]
    assert main(words) == 0
    results = json.loads((job / "out" / "results.json").read_text("utf-8"))
    assert results["watched"][PROBE]["budget"]["word"] == "cannot tell"
    assert main([*words, "--strict"]) == 1


def test_what_cannot_be_protected_afterwards_is_an_error(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(change(job, retain={}))
    assert main(["protect", str(job / "out")]) == 2
    assert "the run is not finished" in capsys.readouterr().err
    run(load(Path(recipe)), out=job / "out")
    for words, problem in (
        (["--budget", "general-probe"], "not a budget"),
        (["--budget", "mmlu=5", "--recipe", recipe], "retain has a benchmark that is not watched"),
        (["--recipe", "nowhere.yaml"], "there is no such recipe"),
    ):
        assert main(["protect", str(job / "out"), *words]) == 2
        assert problem in capsys.readouterr().err
    assert not (job / "out-protected").exists()
