"""`tutelage evaluate` on tiny models: what is looked at before weights, what is asked once only, the adapter on and off."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from tutelage import evaluate
from tutelage.cli.main import main
from tutelage.comparison import compare_runs
from tutelage.core.errors import InputError
from tutelage.engine import Engine
from tutelage.evaluation import preflight
from tutelage.models.load import loaded_fingerprint
from tutelage.results.store import Store

SPEC = """\
version: 1
name: prices
title: What it costs
data: {path: rows.jsonl, part: kind}
form: text
prompt: "{{ question }}"
join: " "
choices: options
answer: "{{ right }}"
shots: {path: shots.jsonl, count: 4}
metrics: [accuracy, "choice_accuracy:by=tokens"]
"""


@pytest.fixture
def bench(tmp_path: Path) -> str:
    place = tmp_path / "prices"
    place.mkdir()
    rows = [
        {
            "kind": "long" if n % 5 == 0 else "short",
            "question": f"What is the price of plan {n}?"
            + " And of the small plans a month?" * (4 if n % 5 == 0 else 0),
            "options": ["12 euros", "a month", "no"],
            "right": ["12 euros", "a month", "no"][n % 3],
        }
        for n in range(20)
    ]
    for name, some in (("rows.jsonl", rows), ("shots.jsonl", rows[:4])):
        (place / name).write_text("".join(json.dumps(row) + "\n" for row in some), "utf-8")
    (place / "spec.yaml").write_text(SPEC, "utf-8")
    return str(place)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests went to a model, call by call."""
    counts: list[int] = []
    real = Engine.answer

    def answer(self, requests, **named):
        counts.append(len(requests))
        return real(self, requests, **named)

    monkeypatch.setattr(Engine, "answer", answer)
    return counts


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TUTELAGE_NO_CACHE", raising=False)


def test_scores_parts_and_averages_are_left_and_printed(bench, tiny_model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", str(tiny_model_folder), "--benchmark", bench, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "evaluation.json").read_text("utf-8"))
    one = printed["benchmarks"]["prices"]
    assert one["groups"] == ["macro"]
    assert list(one["parts"]) == ["macro", "long", "short"]
    assert (one["scores"]["accuracy"]["n"], one["shots"]) == (20, 4)
    with Store.open(out / "results.sqlite", read_only=True) as store:
        (kept,) = store.evaluations()
        assert set(kept.parts()) == {"", "macro", "long", "short"}
        assert all(len(response.lengths) == 3 for response in kept.responses().values())
    assert main(["evaluate", str(tiny_model_folder), "--benchmark", bench, "--out", str(out)]) == 0
    assert "macro" in capsys.readouterr().out


def test_a_larger_limit_asks_only_what_is_new_and_changed_weights_get_nothing(
    bench, tiny_model_folder, tmp_path, asked, cached
):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_folder, model)
    first = evaluate(str(model), [bench], limit=3, out=tmp_path / "a")
    again = evaluate(str(model), [bench], limit=3, out=tmp_path / "b")
    more = evaluate(str(model), [bench], limit=6, out=tmp_path / "c")
    assert asked == [6, 4]  # 3 of each part; the second call nothing; then 1 of 4 long ones and 3 short ones
    assert again.document["benchmarks"] == first.document["benchmarks"]
    assert more.document["benchmarks"]["prices"]["sampled_of"] == 20
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    name = next(key for key in weights if "mlp" in key)
    save_file({**weights, name: weights[name] * 2}, model / "model.safetensors", metadata={"format": "pt"})
    evaluate(str(model), [bench], limit=3, out=tmp_path / "d")
    assert asked == [6, 4, 6]
    evaluate(str(model), [bench], limit=3, shots=2, out=tmp_path / "e")
    assert asked == [6, 4, 6, 6]


def test_a_killed_evaluation_goes_on(bench, tiny_model_folder, tmp_path, monkeypatch, asked):
    real = Engine.answer

    def half(self, requests, *, on_done):
        real(self, requests[:7], on_done=on_done)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "answer", half)
        with pytest.raises(KeyboardInterrupt):
            evaluate(str(tiny_model_folder), [bench], out=tmp_path / "a")
    asked.clear()
    evaluate(str(tiny_model_folder), [bench], out=tmp_path / "a")
    assert asked == [13]


def test_all_mistakes_are_told_before_weights_are_loaded(bench, tiny_model_folder, tmp_path, monkeypatch):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_folder, model)
    (model / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(
        "tutelage.evaluation.evaluate.load", lambda *_, **__: pytest.fail("weights were loaded")
    )
    spec = Path(bench) / "spec.yaml"
    spec.write_text(SPEC.replace("count: 4", "count: 9"))
    with pytest.raises(InputError) as caught:
        evaluate(
            str(model),
            [bench, "mmlv", "bbh:cot"],
            data_dir=tmp_path,
            chat_template="chatml-plane",
            out=tmp_path / "o",
        )
    problems = [error.problem for error in caught.value.errors]
    assert problems == [
        "there are too few exemplars",
        "there are too few exemplars",
        "there is no such benchmark",
        "the data of bbh is not here",
        "unknown chat template",
        problems[-1],
    ]
    assert "tokenizer" in str(caught.value.errors[-1])
    assert not (tmp_path / "o").exists()


def test_a_folder_of_something_else_is_refused_before_weights_are_loaded(
    bench, tiny_model_folder, tmp_path, monkeypatch
):
    evaluate(str(tiny_model_folder), [bench], limit=2, out=tmp_path / "known")
    monkeypatch.setattr(
        "tutelage.evaluation.evaluate.load", lambda *_, **__: pytest.fail("weights were loaded")
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("not yours")
    (tmp_path / "file").write_text("not yours")
    problems = {
        "known": "the folder holds another evaluation",
        "full": "the folder holds something that is no evaluation",
        "file": "the folder for responses is a file",
    }
    for name, problem in problems.items():
        with pytest.raises(InputError) as caught:
            evaluate(str(tiny_model_folder), [bench], limit=3, out=tmp_path / name)
        assert caught.value.problem == problem
        assert caught.value.where == str(tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_whole_examples_are_dropped_to_fit_counted_and_shown(bench, tiny_model_folder, tmp_path, capsys):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_folder, model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 150}))
    found = evaluate(str(model), [bench], out=tmp_path / "a").document["benchmarks"]["prices"]
    assert found["shots"] == 4
    told = found["shots_dropped"]
    assert 0 < told["items"] <= 20
    assert told["examples"] >= told["items"]
    with sqlite3.connect(tmp_path / "a" / "results.sqlite") as raw:
        shots = [json.loads(text).get("shots", 0) for (text,) in raw.execute("SELECT fields FROM items")]
    assert sum(4 - count for count in shots) == told["examples"]
    assert main(["evaluate", str(model), "--benchmark", bench, "--out", str(tmp_path / "a")]) == 0
    assert (
        f"{told['examples']} exemplars were left out of {told['items']} questions" in capsys.readouterr().out
    )
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 20}))
    with pytest.raises(InputError, match="the evaluation") as caught:
        evaluate(str(model), [bench], out=tmp_path / "b")
    assert all(
        one.problem == "the question does not fit into the model's context" for one in caught.value.errors
    )
    assert "without examples" in caught.value.errors[0].found


def test_a_conversation_needs_a_chat_template_and_a_text_does_not(bench, tiny_model_folder, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_folder, model)
    (model / "chat_template.jinja").unlink()
    assert evaluate(str(model), [bench], limit=2, out=tmp_path / "a").document["benchmarks"]
    with pytest.raises(InputError, match="the model has no chat template") as caught:
        evaluate(str(model), ["general-probe", bench], limit=2, out=tmp_path / "b")
    assert caught.value.where == "general-probe"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_adapter_off_is_the_base_from_the_same_weights(bench, tiny_model_folder, tmp_path, capsys):
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = peft.LoraConfig(
            task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False
        )
        peft.get_peft_model(base, settings).save_pretrained(tmp_path / "adapter")
    words = ["--benchmark", bench, "--out", str(tmp_path / "a"), "--json"]
    assert main(["evaluate", str(tmp_path / "adapter"), "--against", "base", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    alone = evaluate(str(tiny_model_folder), [bench], out=tmp_path / "b").document
    assert found["base"]["prices"]["scores"] == alone["benchmarks"]["prices"]["scores"]
    assert found["against_base"]["prices"]["difference"]["accuracy"]["n"] == 20
    with Store.open(tmp_path / "a" / "results.sqlite", read_only=True) as store:
        kept = {one.model: one.responses() for one in store.evaluations()}
    with Store.open(tmp_path / "b" / "results.sqlite", read_only=True) as store:
        (own,) = (one.responses() for one in store.evaluations())
    assert set(kept) == {"tuned", "base"}
    for id_, response in own.items():
        assert kept["base"][id_].logprobs == pytest.approx(response.logprobs, abs=5e-5)
        assert kept["tuned"][id_].logprobs != pytest.approx(response.logprobs, abs=1e-2)
    assert (
        main(
            [
                "evaluate",
                str(tiny_model_folder),
                "--against",
                "base",
                *words[:2],
                "--out",
                str(tmp_path / "c"),
            ]
        )
        == 2
    )


@pytest.mark.parametrize("merged", [True, False], ids=["merged", "tuned in full"])
def test_a_run_of_whole_weights_is_compared_with_the_base_that_it_names(
    bench, tiny_model_folder, tmp_path, capsys, merged
):
    import torch

    from tutelage.models import add_adapter, export, load, resolve

    source = resolve(str(tiny_model_folder))
    loaded = load(source)
    tuned = add_adapter(loaded, "lora", {"rank": 2, "alpha": 4, "dropout": 0.0}, seed=0) if merged else loaded
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            parameter.add_(0.05 * parameter.requires_grad)
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(f"model: {tiny_model_folder}\n")
    export(tuned, run / "model", merge=merged, base=source, of_run=True)

    words = ["--benchmark", bench, "--out", str(tmp_path / "a"), "--json"]
    assert main(["evaluate", str(run), "--against", "base", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    for side, model, out in (("base", tiny_model_folder, "b"), ("benchmarks", run, "c")):
        alone = evaluate(str(model), [bench], out=tmp_path / out).document
        assert found[side]["prices"]["scores"] == alone["benchmarks"]["prices"]["scores"]
    assert found["against_base"]["prices"]["difference"]["accuracy"]["n"] == 20
    assert main(["models", "show", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["base"] == str(tiny_model_folder)
    assert main(["models", "show", str(tiny_model_folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["base"] is None


def test_results_of_the_version_before_are_brought_up_and_can_be_read(bench, tiny_model_folder, tmp_path):
    out = tmp_path / "a"
    evaluate(str(tiny_model_folder), [bench], limit=2, out=out)
    path = out / "results.sqlite"
    with sqlite3.connect(path) as raw:  # as version 1 left it
        raw.execute("ALTER TABLE responses DROP COLUMN lengths")
        raw.execute("UPDATE schema_version SET version = 1")
    with Store.open(path, read_only=True) as store:
        (one,) = store.evaluations()
        assert {response.lengths for response in one.responses().values()} == {()}
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
    with Store.open(path) as store:
        (one,) = store.evaluations()
        assert len(one.responses()) == 4
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT version FROM schema_version").fetchall() == [(2,)]


def older(out: Path) -> None:
    """Make of an evaluation's folder what a version left that kept neither hashes nor generation settings."""
    document = json.loads((out / "evaluation.json").read_text("utf-8"))
    for key in ("made_from", "content_sha256"):
        document.pop(key)
    document["provenance"].pop("model_fingerprint")
    (out / "evaluation.json").write_text(json.dumps(document), "utf-8")


def test_a_folder_of_an_older_version_is_gone_on_with_until_the_settings_change(
    bench, tiny_model_folder, tmp_path, asked, monkeypatch
):
    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(tiny_model_folder, model)
    with monkeypatch.context() as before:
        for module in (preflight, sys.modules["tutelage.models.load"]):
            before.setattr(
                module, "loaded_fingerprint", lambda *words, **_: loaded_fingerprint(*words, settings=False)
            )
        first = evaluate(str(model), [bench], limit=4, out=out)
    older(out)
    asked.clear()
    again = evaluate(str(model), [bench], limit=4, out=out)
    assert asked == []
    assert again.document["benchmarks"] == first.document["benchmarks"]
    assert again.document["provenance"]["identity"] == first.document["provenance"]["identity"]
    settings = json.loads((model / "generation_config.json").read_text("utf-8"))
    (model / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [2, 9]}), "utf-8")
    with pytest.raises(InputError, match="another evaluation"):
        evaluate(str(model), [bench], limit=4, out=out)


def test_edited_answers_are_not_scored_again(bench, tiny_model_folder, tmp_path):
    out = tmp_path / "out"
    first = evaluate(str(tiny_model_folder), [bench], limit=4, out=out)
    with sqlite3.connect(out / "results.sqlite") as connection:
        connection.execute("UPDATE responses SET logprobs = '[-1.0, -2.0, -3.0]', choice = 0")
    connection.close()
    with pytest.raises(InputError, match=r"changed after evaluation\.json") as caught:
        evaluate(str(tiny_model_folder), [bench], limit=4, out=out)
    assert str(out / "results.sqlite") in caught.value.block()
    with pytest.raises(InputError, match=r"changed after evaluation\.json"):
        compare_runs(out, out)
    (out / "results.sqlite").unlink()  # the fix
    again = evaluate(str(tiny_model_folder), [bench], limit=4, out=out)
    assert again.document["benchmarks"] == first.document["benchmarks"]
