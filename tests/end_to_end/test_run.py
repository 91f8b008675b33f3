"""`tutelage run` on a tiny model: what it leaves, what it refuses, and that it goes on after any stop."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tutelage import config as recipes
from tutelage.cli.main import main
from tutelage.core import hashing
from tutelage.job import preparing, stages
from tutelage.job.run import run
from tutelage.models import LoadedModel
from tutelage.results.store import Store

if TYPE_CHECKING:
    from tests.warm import Warm


def tensors(folder: Path) -> dict[str, str]:
    """The sha256 of every tensor of a saved adapter or model."""
    from safetensors.torch import load_file

    files = sorted(folder.rglob("*.safetensors"))
    assert files
    return {
        f"{file.name}:{name}": hashing.of_text(repr(tensor.tolist()))
        for file in files
        for name, tensor in load_file(file).items()
    }


def test_a_run_leaves_what_design_says(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = job / "out"
    assert main(["run", str(job / "recipe.yaml"), "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    results = json.loads((out / "results.json").read_text("utf-8"))
    assert printed == results
    assert results["schema"] == 1
    task = results["tasks"]["colours"]
    assert task["primary"] == "rougeL"
    for side in ("base", "tuned", "difference"):
        assert task[side]["rougeL"]["n"] == 6
    with Store.open(out / "results.sqlite", read_only=True) as store:
        asked = {
            side: store.evaluations(model=side, suite="task")[0].responses() for side in ("base", "tuned")
        }
    cut = {
        side: sum(answer.finish == "length" for answer in answers.values()) for side, answers in asked.items()
    }
    assert task["cut"] == {**cut, "of": 6}
    assert f"cut off: base {cut['base']}, tuned {cut['tuned']} of 6." in results["verdict"]["sentence"]
    assert results["watched"]["general-probe"]["parts"]
    assert results["verdict"]["learned"] in ("yes", "no", "unclear")
    card = json.loads((out / "data" / "card.json").read_text("utf-8"))
    assert card["base"]["about"].startswith(f"Trained on the weights of {card['base']['name']}, fingerprint ")
    assert card["base"]["about"] in html.unescape((out / "report.html").read_text("utf-8"))
    assert card["tasks"]["colours"]["splits"] == {"train": 12, "validation": 6, "test": 6}
    assert card["training"] == {
        "objective": {"completion_loss": 1.0},
        "steps": 12,
        "rows_seen": 48,
        "tokens_seen": 4 * card["tasks"]["colours"]["tokens"]["train"]["tokens"],
        "loss_tokens_seen": 4 * card["tasks"]["colours"]["tokens"]["train"]["loss_tokens"],
    }
    assert (out / "report.html").stat().st_size > 5000
    assert (out / "recipe.yaml").is_file()
    assert not (out / "checkpoints").exists()
    with Store.open(out / "results.sqlite", read_only=True) as store:
        assert [step["step"] for step in store.steps()] == [*range(13)]
        assert set(store.steps()[0]) == {"step", "validation_loss"}
        assert any("validation_loss" in step for step in store.steps())
        answered = {(e.model, e.name): len(e.responses()) for e in store.evaluations()}
    assert answered["base", "colours"] == answered["tuned", "colours"] == 6
    assert answered["base", "general-probe"] == answered["tuned", "general-probe"] > 6


def test_again_it_finds_everything_done(job: Path) -> None:
    recipe = recipes.load(job / "recipe.yaml")
    first = run(recipe, out=job / "out")
    before = {p: p.stat().st_mtime_ns for p in sorted((job / "out").rglob("*")) if p.is_file()}
    again = run(recipe, out=job / "out")
    assert first.fresh
    assert not again.fresh
    assert again.results == first.results
    assert before == {p: p.stat().st_mtime_ns for p in sorted((job / "out").rglob("*")) if p.is_file()}


def test_a_job_killed_anywhere_goes_on_to_the_same_model_and_scores(job: Path, warm: Warm) -> None:
    """Killed with SIGKILL at five moments spread over the whole job, then run to its end."""
    whole = run(recipes.load(job / "recipe.yaml"), out=job / "whole")
    words = ["run", "recipe.yaml", "--out", "killed"]
    code = f"import torch; torch.set_num_threads({torch.get_num_threads()}); from tutelage.cli.main import entry; entry()"
    began = time.monotonic()
    done = warm.run([*words[:-1], "timed"], code=code, cwd=job, timeout=300)
    assert done.returncode == 0, done.stderr
    lasted = time.monotonic() - began
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        with warm.start(words, code=code, cwd=job) as child:
            time.sleep(lasted * share)
            child.send_signal(signal.SIGKILL)
    done = warm.run(words, code=code, cwd=job, timeout=300)
    assert done.returncode == 0, done.stderr
    killed = json.loads((job / "killed" / "results.json").read_text("utf-8"))
    assert tensors(job / "killed" / "model") == tensors(job / "whole" / "model")
    assert killed["tasks"] == whole.results["tasks"]
    assert killed["watched"] == whole.results["watched"]
    assert steps(job / "killed") == steps(job / "whole")
    assert not list((job / "killed").rglob(".*.part"))


def steps(folder: Path) -> list[dict[str, float]]:
    """The training log without what depends on the machine's load."""
    with Store.open(folder / "results.sqlite", read_only=True) as store:
        return [{k: v for k, v in step.items() if k not in ("seconds", "memory")} for step in store.steps()]


def test_another_recipe_in_the_same_folder_is_refused(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(job / "recipe.yaml"), "--out", str(job / "out")]
    assert main([*words, "--set", "tune.steps=1"]) == 0
    capsys.readouterr()
    assert main([*words, "--set", "tune.steps=2"]) == 2
    said = capsys.readouterr().err
    assert "another recipe's run" in said
    assert "tune.steps is 1 there and 2 here" in said


def test_a_folder_that_is_no_run_is_refused_and_kept(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job / "out").mkdir()
    (job / "out" / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert main(["run", str(job / "recipe.yaml"), "--out", str(job / "out")]) == 2
    assert "thesis.txt" in capsys.readouterr().err
    assert [p.name for p in (job / "out").iterdir()] == ["thesis.txt"]


def test_a_second_process_is_told_who_holds_the_folder(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tutelage.core.locks import locked

    with locked(job / "out" / ".lock", subject="the run folder"):
        assert main(["run", str(job / "recipe.yaml"), "--out", str(job / "out")]) == 3
    said = capsys.readouterr().err
    assert "another process is using" in said
    assert str(os.getpid()) in said


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"question": "Who?", "split": "train"}', "answer"),
        ('{"question": "Who?", "answer": null, "split": "train"}', "null"),
        ('{"question": "Who?", "answer": "", "split": "train"}', "empty"),
        ('{"question": "Who?", "answer": 7, "split": "train"}', "a number"),
        ('{"question": "Who?", "answer": "I', "cut off"),
    ],
)
def test_a_bad_row_names_its_line_and_writes_nothing(
    job: Path, capsys: pytest.CaptureFixture[str], row: str, says: str
) -> None:
    with (job / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write(row)
    before = sorted(job.rglob("*"))
    assert main(["run", str(job / "recipe.yaml"), "--out", str(job / "out")]) == 2
    said = capsys.readouterr().err
    assert "rows.jsonl:25" in said
    assert says in said
    assert sorted(job.rglob("*")) == before


def test_a_completion_that_does_not_fit_is_refused_not_cut(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (job / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"question": "Who?", "answer": "blue " * 300, "split": "train"}) + "\n")
    assert (
        main(["run", str(job / "recipe.yaml"), "--out", str(job / "out"), "--set", "tune.max_length=128"])
        == 2
    )
    said = capsys.readouterr().err
    assert "rows.jsonl:25" in said
    assert "does not fit into 128 tokens" in said
    assert "too_long: cut" in said
    assert not (job / "out").exists()


def test_a_model_that_is_not_there_is_refused(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(job / "recipe.yaml"), "--out", str(job / "out")]
    assert main([*words, "--set", "model=smollm2-135m-instuct"]) == 2
    assert "smollm2-135m-instruct" in capsys.readouterr().err
    assert not (job / "out").exists()


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(job: Path, warm: Warm) -> None:
    words = ["run", "recipe.yaml", "--out", "out"]
    words += ["--set", "tune.epochs=500", "--set", "watch=[]", "--set", "retain={}"]
    with warm.start(words, cwd=job, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 120
        while not list(job.glob("out/checkpoints/step-*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "again" in said
    assert "Traceback" not in said
    assert list(job.glob("out/checkpoints/step-*"))


# peft asks transformers by a name that transformers has given up: theirs to settle.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_saved_adapter_answers_the_same_with_plain_peft(job: Path, tiny_model_folder: Path) -> None:
    """The lines that the report prints, run as they stand, and plain `generate` beside the stored answers."""
    import torch

    outcome = run(recipes.load(job / "recipe.yaml"), out=job / "out")
    lines = outcome.results["provenance"]["load"]
    page = html.unescape((job / "out" / "report.html").read_text("utf-8"))
    assert len(lines) == 3
    assert "\n".join(lines) in page
    names: dict[str, object] = {}
    exec("\n".join(lines), names)  # noqa: S102 - our own lines, as a person would
    model, tokenizer = names["model"], names["tokenizer"]
    with Store.open(job / "out" / "results.sqlite", read_only=True) as store:
        (kept,) = store.evaluations(model="tuned", suite="task")
        items, responses = kept.items(), kept.responses()
    for item in items:
        turn = [{"role": "user", "content": item.prompt}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
        answer = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
        assert answer == responses[item.id].text


def test_full_tuning_saves_a_whole_model(job: Path) -> None:
    sets = ["tune.method=full", "tune.rank=null", "tune.steps=2", "watch=[]", "retain={}"]
    recipe = recipes.load(job / "recipe.yaml", sets=sets)
    run(recipe, out=job / "out")
    assert (job / "out" / "model" / "model.safetensors").is_file()
    assert not (job / "out" / "model" / "adapter_config.json").exists()


def test_the_base_model_is_freed_before_the_tuned_one_is_loaded(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_base, load_tuned = preparing.load, stages.load
    bases, alive = [], []

    def loading_base(*arguments: Any, **options: Any) -> LoadedModel:
        loaded = load_base(*arguments, **options)
        bases.append(weakref.ref(loaded.model))
        return loaded

    def loading_tuned(*arguments: Any, **options: Any) -> LoadedModel:
        alive.extend(base() for base in bases if base() is not None)
        return load_tuned(*arguments, **options)

    monkeypatch.setattr(preparing, "load", loading_base)
    monkeypatch.setattr(stages, "load", loading_tuned)
    assert run(recipes.load(job / "recipe.yaml"), out=job / "out").fresh
    assert len(bases) == 1
    assert alive == []
