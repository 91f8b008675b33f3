"""`track:`: samples asked in the midst of the training, from recipe to page; the training goes on as without."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.cli.main import main
from tutelage.config import load
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Request
from tutelage.engine import Engine
from tutelage.evaluation.progress import SilentListener
from tutelage.job.run import run, train
from tutelage.models import load as load_model
from tutelage.models import resolve
from tutelage.results.store import Store
from tutelage.training.events import Event, StepDone, ValidationDone

PROBE = "general-probe"
STEPS = 12


def change(job: Path, *, tune: dict[str, Any] | None = None, **fields: Any) -> Path:
    path = job / "recipe.yaml"
    recipe = {**yaml.safe_load(path.read_text("utf-8")), **fields}
    recipe["tune"] = {**recipe["tune"], **(tune or {})}
    recipe = {key: value for key, value in recipe.items() if value is not None}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


class Events(SilentListener):
    """Keeps losses, validation losses and what the stages say."""

    def __init__(self) -> None:
        self.losses: list[tuple[Any, ...]] = []
        self.stages: list[str] = []

    def event(self, event: Event) -> None:
        if isinstance(event, StepDone):
            self.losses.append((event.step, event.loss, event.grad_norm))
        elif isinstance(event, ValidationDone):
            self.losses.append(("validation", event.step, event.loss))

    def stage(self, name: str, note: str = "") -> None:
        self.stages.append(f"{name}: {note}")


def weights(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "model").rglob("*.safetensors"))}


def questions(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, str]]:
    """Counts the questions that engines answer, by engine and id."""
    counts: Counter[tuple[int, str]] = Counter()
    answer = Engine.answer

    def counted(engine: Engine, requests: Any, **named: Any) -> Any:
        counts.update((id(engine), request.id) for request in requests)
        return answer(engine, requests, **named)

    monkeypatch.setattr(Engine, "answer", counted)
    return counts


def test_gain_and_loss_over_the_steps(job: Path) -> None:
    recipe = change(job, track={"every": 5, "items": 4}, watch=[{"benchmark": PROBE, "limit": 20}])
    events = Events()
    results = run(load(recipe), out=job / "out", listener=events).results
    curve = results["curve"]
    assert curve["steps"] == STEPS
    lines = {**curve["tasks"], **curve["watched"]}
    assert set(lines) == {"colours", PROBE}
    for line in lines.values():
        assert line["n"] == 4
        assert [point["step"] for point in line["points"]] == [0, 5, 10, 12]
        first, *rest = line["points"]
        assert "difference" not in first
        for point in rest:
            difference = point["difference"]
            assert difference["value"] == pytest.approx(point["value"] - first["value"])
            assert difference["low"] <= difference["value"] <= difference["high"]
    assert curve["tasks"]["colours"]["primary"] == "rougeL"
    told = next(each for each in events.stages if each.startswith("tune: step 5: colours "))
    value = curve["tasks"]["colours"]["points"][1]["value"]
    assert f"colours {100 * value if value <= 1 else value:.1f} (" in told
    assert f"{PROBE} " in told
    page = (job / "out" / "report.html").read_text("utf-8")
    assert "Gain and loss by step" in page
    # Again: nothing is asked, and nothing is lost with results.json.
    assert not run(load(recipe), out=job / "out").fresh
    (job / "out" / "results.json").unlink()
    assert run(load(recipe), out=job / "out").results["curve"] == curve


@pytest.mark.parametrize(
    "tune",
    [
        {"dropout": 0.3},
        {"dropout": 0.3, "packing": True, "activation_checkpointing": True},
        {"method": "dora", "dropout": 0.3},
        {"method": "oft", "rank": None, "block_size": 4, "dropout": 0.1},
        {"method": "ia3", "rank": None},
        {"method": "prompt-tuning", "rank": None, "virtual_tokens": 3},
        {"method": "prefix-tuning", "rank": None, "virtual_tokens": 3},
        {"method": "full", "rank": None, "train_last": 1, "learning_rate": 0.003},
        {"method": "full", "rank": None, "kl_to_base": 0.1, "learning_rate": 0.003},
    ],
    ids=lambda tune: " ".join(str(tune.get(key, "")) for key in ("method", "packing", "kl_to_base")).strip(),
)
def test_the_training_is_that_without_it_bit_for_bit(job: Path, tune: dict[str, Any]) -> None:
    recipe = load(change(job, watch=[{"benchmark": PROBE, "limit": 1}], tune=tune))
    plain, tracked = Events(), Events()
    train(recipe, out=job / "plain", listener=plain)
    train(load(change(job, track={"at": [1, 2, 7], "items": 3})), out=job / "tracked", listener=tracked)
    assert plain.losses == tracked.losses
    assert len(plain.losses) > STEPS
    assert weights(job / "plain") == weights(job / "tracked")
    assert sum(stage.startswith("tune: step ") for stage in tracked.stages) == 4


def test_an_encoder_decoder_is_measured_too(job: Path, tiny_t5_folder: Path) -> None:
    change(job, model=str(tiny_t5_folder), watch=[], retain={})
    train(load(job / "recipe.yaml"), out=job / "plain")
    results = run(load(change(job, track={"at": [6], "items": 5})), out=job / "out").results
    assert [point["step"] for point in results["curve"]["tasks"]["colours"]["points"]] == [0, 6, 12]
    assert weights(job / "plain") == weights(job / "out")


@pytest.mark.parametrize("method", ["lora", "full", "prefix-tuning"])
def test_a_step_answers_as_a_model_that_was_trained_to_it(job: Path, method: str) -> None:
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["tune"] = {key: value for key, value in recipe["tune"].items() if key != "rank"}
    tune = {"method": method, "schedule": "constant", "warmup": 0.0, "keep": "last"}
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    watch = [{"benchmark": PROBE, "limit": 3}]
    change(job, watch=watch, track={"at": [6], "items": 1000}, tune=tune)
    curve = run(load(job / "recipe.yaml"), out=job / "whole").results["curve"]
    change(job, track=None, tune={"steps": 6})
    watched = run(load(job / "recipe.yaml"), out=job / "half").results["watched"][PROBE]
    base, step = curve["watched"][PROBE]["points"][:2]
    metric = watched["primary"]
    assert step["step"] == 6
    assert base["value"] == watched["base"][metric]["value"]
    assert step["value"] == watched["tuned"][metric]["value"]
    assert step["difference"] == {key: watched["difference"][metric][key] for key in ("value", "low", "high")}
    with Store.open(job / "whole" / "results.sqlite") as store:
        (asked,) = store.evaluations(model="step 6", suite="validation")
        responses, items = asked.responses(), asked.items()
    half = load_model(resolve(str(job / "half" / "model")))
    engine = Engine(half.model, half.tokenizer, encoder_decoder=False, context=half.context)
    requests = [Request(item.id, "generate", item.prompt, max_new_tokens=8) for item in items]
    assert len(requests) == 6
    assert [response.text for response in engine.answer(requests)] == [
        responses[item.id].text for item in items
    ]


def test_train_asks_the_base_its_samples_and_a_later_run_shows_them(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load(change(job, track={"at": [4], "items": 3}, watch=[{"benchmark": PROBE, "limit": 4}]))
    counts = questions(monkeypatch)
    train(recipe, out=job / "out")
    assert counts.total() == 3 * 2 * 3  # three questions of task and benchmark, at steps 0, 4 and 12
    results = run(recipe, out=job / "out").results
    assert [point["step"] for point in results["curve"]["watched"][PROBE]["points"]] == [0, 4, 12]


def test_the_bases_answers_are_reused(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "1")
    recipe = load(change(job, track={"at": [4], "items": 3}, watch=[{"benchmark": PROBE, "limit": 4}]))
    counts = questions(monkeypatch)
    run(recipe, out=job / "out")
    assert max(Counter(name for _, name in counts if name.startswith("probe")).values(), default=0) <= 4
    with Store.open(job / "out" / "results.sqlite") as store:
        models = Counter(each.model for each in store.evaluations(suite="benchmark"))
        assert models == {"base": 1, "step 4": 1, "step 12": 1, "tuned": 1}
        base, step = (store.evaluations(model=model, suite="benchmark")[0] for model in ("base", "step 4"))
        assert step.responses().keys() < base.responses().keys()
        assert not step.parts()  # it has no scores that another program could take for the tuned model's


def test_a_task_without_validation_rows_is_named(job: Path) -> None:
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["tasks"][0]["split"] = {"validation": 0, "test": 6}
    events = Events()
    results = run(
        load(change(job, tasks=recipe["tasks"], track={"every": 6})), out=job / "out", listener=events
    ).results
    assert results["curve"]["left_out"] == ["colours"]
    assert set(results["curve"]["watched"]) == {PROBE}
    assert results["curve"]["tasks"] == {}
    assert "prepare: colours has no validation rows, so it is not tracked" in events.stages


def test_a_protected_run_has_the_curve_of_its_training(job: Path) -> None:
    recipe = change(job, track={"every": 6, "items": 3}, watch=[{"benchmark": PROBE, "limit": 20}], retain={})
    curve = run(load(recipe), out=job / "out").results["curve"]
    words = [
        "protect",
        str(job / "out"),
        "--recipe",
        str(recipe),
        "--scale",
        "0.5",
        "--budget",
        f"{PROBE}=100",
    ]
    assert main(words) == 0
    protected = json.loads((job / "out-protected" / "results.json").read_text("utf-8"))
    assert protected["curve"] == curve
    assert protected["protection"]["path"] == [0.5]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"track": {"every": 2, "at": [3]}}, "two ways to say at which steps it is measured"),
        ({"track": {}}, "no step at which it is measured"),
        ({"track": {"at": []}}, "no step at which it is measured"),
        ({"track": {"at": [3, 13, 14]}}, "the training ends before a step at which it is to be measured"),
        ({"track": {"every": 13}}, "the training ends before a step"),
        ({"track": {"at": [0]}}, "track.at"),
        ({"track": {"every": 2, "items": 1}}, "track.items"),
        ({"track": 5}, "track"),
        (
            {
                "track": {"every": 2},
                "watch": [],
                "retain": {},
                "tasks": [{"data": {"path": "rows.jsonl"}, "prompt": "{{ question }}", "completion": "{{ answer }}",
                           "split": {"validation": 0, "test": 6}}],
            },
            "there is nothing to ask during the training",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_tracked_is_an_error_before_anything_is_written(
    job: Path, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises((InputError, InputErrors), match=problem):
        run(load(change(job, **fields)), out=job / "out")
    assert not (job / "out").exists()


def test_an_edited_curve_is_refused_and_a_lost_one_is_named(job: Path) -> None:
    recipe = load(change(job, track={"at": [4], "items": 3}))
    train(recipe, out=job / "out")
    path = job / "out" / "curve.json"
    record = json.loads(path.read_text("utf-8"))
    record["tasks"]["colours"]["points"][1]["value"] = 0.75
    path.write_text(json.dumps(record), "utf-8")
    with pytest.raises(InputError, match="changed after it was written") as caught:
        run(recipe, out=job / "out")
    assert str(path) in str(caught.value.fix)
    path.unlink()
    events = Events()
    assert "curve" not in run(recipe, out=job / "out", listener=events).results
    assert any(
        "is not there, so the steps of the training are not in the report" in each for each in events.stages
    )


def test_steps_of_another_training_are_not_taken_over(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record and the answers of a training with another version of the program, in the same folder."""
    recipe = load(change(job, track={"at": [4], "items": 3}))
    train(recipe, out=job / "out")
    shutil.rmtree(job / "out" / "model")
    counts = questions(monkeypatch)
    train(recipe, out=job / "out")  # the same training again asks nothing
    assert counts.total() == 0
    shutil.rmtree(job / "out" / "model")
    monkeypatch.setattr("tutelage.job.tracking.__version__", "9.9.9")
    train(recipe, out=job / "out")
    assert counts.total() == 3 * 2 * 2
