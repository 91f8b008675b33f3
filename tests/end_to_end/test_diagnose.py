"""`tutelage diagnose` and `diagnose: true`: from a run with lost items to diagnosis.json and the page; resumed, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tutelage.cli.main import main
from tutelage.config import load
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Request
from tutelage.diagnosis import realignment
from tutelage.engine import Engine
from tutelage.job import diagnosing
from tutelage.job.diagnose_run import diagnose_run
from tutelage.job.run import run
from tutelage.models import load as load_model
from tutelage.models import resolve
from tutelage.protection.prompts import bundled_rows
from tutelage.results.store import Store

SPEC = """\
version: 1
name: sayings
title: What the base says
licence: Apache-2.0
language: en
items: items.jsonl
parts:
  words: {title: In words, kind: generate, max_new_tokens: 4, extraction: whole}
  choices: {title: As a choice, kind: choose, choices: ["yes", "no"]}
"""
PROMPTS = [f"Say the word number {n} of the plan." for n in range(14)]


def write_sayings(folder: Path, model_folder: Path) -> None:
    """A benchmark whose right answers are what the model itself says, so that a tuned one loses some."""
    model = load_model(resolve(str(model_folder)))
    engine = Engine(
        model.model, model.tokenizer, encoder_decoder=model.encoder_decoder, context=model.context
    )
    requests = [Request(str(n), "generate", prompt, max_new_tokens=4) for n, prompt in enumerate(PROMPTS)]
    answers = [response.text.strip() for response in engine.answer(requests)]
    items: list[dict[str, Any]] = [
        {"id": f"w{n}", "part": "words", "input": prompt, "references": [answer]}
        for n, (prompt, answer) in enumerate(zip(PROMPTS, answers, strict=True))
        if answer
    ]
    items += [
        {"id": f"c{n}", "part": "choices", "input": f"Is it {n}?", "answer": ["yes", "no"][n % 2]}
        for n in range(6)
    ]
    folder.mkdir()
    (folder / "spec.yaml").write_text(SPEC, "utf-8")
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")


@pytest.fixture
def forgetful(job: Path, tiny_model_folder: Path) -> Path:
    """A recipe that watches what its base says."""
    write_sayings(job / "sayings", tiny_model_folder)
    path = job / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text("utf-8"))
    recipe |= {"watch": [{"benchmark": "./sayings"}], "retain": {}}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    return path


def words(recipe: Path, *more: str) -> list[str]:
    return ["diagnose", str(recipe.parent / "out"), "--recipe", str(recipe), *more]


def document(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "diagnosis.json").read_text("utf-8"))
    return content


def values(out: Path, model: str) -> dict[str, float]:
    """The items of the benchmark, right or wrong."""
    name = "results.sqlite" if model in ("base", "tuned") else "diagnosis.sqlite"
    with Store.open(out / name, read_only=True) as store:
        scores, ids = store.last_scored()[model, "benchmark", "sayings"].item_scores()["accuracy"]
    return dict(zip(ids, scores.items.tolist(), strict=True))


def test_a_finished_run_is_diagnosed_once(forgetful: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = forgetful.parent / "out"
    lost = run(load(forgetful), out=out).results["watched"]["sayings"]["lost_items"]
    in_words = [id_ for ids in lost["kinds"].values() for id_ in ids if id_.startswith("w")]
    assert len(in_words) > 3
    before = (out / "results.json").read_bytes()
    capsys.readouterr()
    assert main(words(forgetful, "--control")) == 0
    shown = capsys.readouterr().out
    diagnosis = document(out)
    for sentence in diagnosis["sentences"]:
        assert sentence in shown.replace("\n", " ")
    rescored = diagnosis["rescored"]["sayings"]
    assert rescored["items"] == len(in_words)
    assert set(rescored["kept"]) <= set(in_words)
    assert rescored["tuned_first"] == len(rescored["kept"])
    assert rescored["chance"] >= 1 / 8
    # The changes are those between the stored scores of all items.
    base, tuned = values(out, "base"), values(out, "tuned")
    realigned, control = values(out, "realigned"), values(out, "realigned base")
    means = {name: sum(side.values()) / len(side) for name, side in
             {"base": base, "tuned": tuned, "realigned": realigned, "control": control}.items()}  # fmt: skip
    recovery = diagnosis["realigned"]["sayings"]
    assert recovery["items"] == len(base) == len(realigned)
    assert recovery["loss"]["value"] == pytest.approx(100 * (means["base"] - means["tuned"]))
    assert recovery["recovered"]["value"] == pytest.approx(100 * (means["realigned"] - means["tuned"]))
    assert recovery["remaining"]["value"] == pytest.approx(100 * (means["base"] - means["realigned"]))
    assert recovery["control"]["value"] == pytest.approx(100 * (means["control"] - means["base"]))
    # Rows are of different kinds, and all of the bundled prompts.
    prompts = {row.id: row for row in bundled_rows()}
    assert {row["prompt"] for row in diagnosis["rows"]} <= {row.prompt for row in prompts.values()}
    assert len({prompts[row["id"]].kind for row in diagnosis["rows"]}) > 5
    page = (out / "report.html").read_text("utf-8")
    assert "Form or knowledge" in page
    assert "Change of a base that learned the same" in page
    assert (out / "results.json").read_bytes() == before
    assert not (out / "realigned").exists()
    # Again, without the control: what is there is enough. The run is still finished.
    assert not diagnose_run(out, recipe=forgetful).fresh
    assert document(out) == diagnosis
    assert not run(load(forgetful), out=out).fresh


def test_a_stopped_diagnosis_asks_and_learns_nothing_twice(
    forgetful: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = forgetful.parent / "out"
    run(load(forgetful), out=out)
    with monkeypatch.context() as patched:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(diagnosing.diagnosis_document, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            diagnose_run(out, recipe=forgetful)
    assert not (out / "diagnosis.json").exists()
    with Store.open(out / "diagnosis.sqlite", read_only=True) as store:
        before = {repr(each): each.digests() for each in store.evaluations()}

    def asked_again(*_: object, **__: object) -> None:
        raise AssertionError("a request was asked twice")

    monkeypatch.setattr(Engine, "answer", asked_again)
    assert diagnose_run(out, recipe=forgetful).fresh
    with Store.open(out / "diagnosis.sqlite", read_only=True) as store:
        assert {repr(each): each.digests() for each in store.evaluations()} == before


def test_a_recipe_can_ask_for_it_also_of_a_run_that_is_finished(forgetful: Path) -> None:
    folder = forgetful.parent
    run(load(forgetful), out=folder / "out")
    asking = load(forgetful, sets=["diagnose=true"])
    assert run(asking, out=folder / "out").fresh  # the same run: nothing but the diagnosis is new
    assert not run(asking, out=folder / "out").fresh
    run(asking, out=folder / "fresh")
    for part in ("rescored", "realigned", "rows", "sentences"):
        assert document(folder / "out")[part] == document(folder / "fresh")[part]
    assert "Form or knowledge" in (folder / "fresh" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("method", "options"),
    [("full", {}), ("prompt-tuning", {"virtual_tokens": 4})],
)
def test_other_methods_are_diagnosed_too(forgetful: Path, method: str, options: dict[str, int]) -> None:
    recipe = yaml.safe_load(forgetful.read_text("utf-8"))
    tune = {name: value for name, value in recipe["tune"].items() if name != "rank"}
    recipe |= {"diagnose": True, "tune": {**tune, "method": method, **options}}
    forgetful.write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    out = forgetful.parent / "out"
    run(load(forgetful), out=out)
    assert document(out)["realigned"]["sayings"]["items"] == len(values(out, "realigned"))


def talkative(t5_folder: Path, to: Path) -> Path:
    """A T5 with weights so large that its answers differ and end."""
    shutil.copytree(t5_folder, to)
    weights = load_file(to / "model.safetensors")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        louder = {
            name: tensor + 3 * torch.randn_like(tensor) if tensor.ndim == 2 else tensor
            for name, tensor in weights.items()
        }
    save_file(louder, to / "model.safetensors", metadata={"format": "pt"})
    return to


def test_an_encoder_decoder_is_diagnosed(job: Path, tiny_t5_folder: Path) -> None:
    model = talkative(tiny_t5_folder, job / "t5")
    write_sayings(job / "sayings", model)
    path = job / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text("utf-8"))
    recipe |= {"model": str(model), "watch": [{"benchmark": "./sayings"}], "retain": {}, "diagnose": True}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    run(load(path), out=job / "out")
    diagnosis = document(job / "out")
    assert diagnosis["rows"]
    assert diagnosis["rescored"]["sayings"]["items"] > 3
    assert diagnosis["realigned"]["sayings"]["items"] == len(values(job / "out", "base"))


def test_a_base_that_ends_no_answer_is_refused(forgetful: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(load(forgetful), out=forgetful.parent / "out")
    monkeypatch.setattr(realignment, "reason_to_drop", lambda _: "cut off")
    with pytest.raises(InputError, match="answers none of the everyday prompts to an end"):
        diagnose_run(forgetful.parent / "out", recipe=forgetful)
    assert not (forgetful.parent / "out" / "diagnosis.json").exists()


def test_what_cannot_be_diagnosed_is_an_error(forgetful: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = forgetful.parent, forgetful.parent / "out"
    assert main(words(forgetful)) == 2
    assert "the run is not finished" in capsys.readouterr().err
    run(load(forgetful), out=out)
    assert main(["diagnose", str(out), "--recipe", "nowhere.yaml"]) == 2
    assert "there is no such recipe" in capsys.readouterr().err
    items = (folder / "sayings" / "items.jsonl").read_text("utf-8")
    (folder / "sayings" / "items.jsonl").write_text(items.replace("Is it 3?", "Is it 33?"), "utf-8")
    assert main(words(forgetful)) == 2
    assert "the run is not as it was" in capsys.readouterr().err
    (folder / "sayings" / "items.jsonl").write_text(items, "utf-8")
    adapter = out / "model" / "adapter_model.safetensors"
    content = adapter.read_bytes()
    adapter.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(words(forgetful)) == 2
    assert "the tuned model" in capsys.readouterr().err
    adapter.write_bytes(content)
    (folder / "rows.jsonl").unlink()
    assert main(words(forgetful)) == 2
    assert "rows.jsonl" in capsys.readouterr().err
    assert not (out / "diagnosis.json").exists()


def test_a_run_that_watched_nothing_is_refused(forgetful: Path) -> None:
    with pytest.raises((InputError, InputErrors), match="nothing is watched, so nothing that was lost"):
        load(forgetful, sets=["watch=[]", "diagnose=true"])
    out = forgetful.parent / "out"
    run(load(forgetful, sets=["watch=[]"]), out=out)
    with pytest.raises(InputError, match="watched nothing"):
        diagnose_run(out, recipe=forgetful)


def test_an_edited_diagnosis_is_made_again_and_one_of_other_results_is_not_shown(
    forgetful: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = forgetful.parent / "out"
    run(load(forgetful, sets=["diagnose=true"]), out=out)
    whole = (out / "diagnosis.json").read_text("utf-8")
    (out / "diagnosis.json").write_text(whole.replace('"items": 20', '"items": 21'), "utf-8")
    assert main(["report", str(out)]) == 2
    assert "the file was changed after it was written" in capsys.readouterr().err
    assert diagnose_run(out, recipe=forgetful).fresh
    assert document(out)["realigned"] == json.loads(whole)["realigned"]
    other = diagnosing.diagnosis_document
    other.write(out, {**document(out), "made_from": "0" * 64})
    assert main(["report", str(out)]) == 0
    assert "is of other results than these" in (out / "report.html").read_text("utf-8")
    assert diagnose_run(out, recipe=forgetful).fresh
    assert "is of other results than these" not in (out / "report.html").read_text("utf-8")
