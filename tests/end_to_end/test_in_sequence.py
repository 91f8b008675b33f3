"""Tasks taught one after the other by runs that continue one another: the matrix, what it rests on, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from tutelage.cli.main import main
from tutelage.config import load
from tutelage.core.errors import InputError, InputErrors, TutelageError
from tutelage.evaluation import measure
from tutelage.job import in_sequence
from tutelage.job.run import run
from tutelage.models import base_of, resolve
from tutelage.results.store import Store

THINGS = {
    "colours": ["red", "blue", "green"],
    "sizes": ["small", "large", "huge"],
    "days": ["Monday", "Friday", "Sunday"],
}
PROBE = "general-probe"

Recipe = Callable[..., Path]


@pytest.fixture
def write_recipe(tmp_path: Path, tiny_model_folder: Path) -> Recipe:
    """Writes the recipe and the rows of one task."""

    def write(name: str, *, metrics: tuple[str, ...] = ("rougeL",), **fields: Any) -> Path:
        rows = [
            {
                "question": f"Tell me the {name} of item {n}, please?",
                "answer": f"{name} {n}: {THINGS[name][n % 3]}",
                "split": "test" if n % 4 == 0 else "validation" if n % 4 == 1 else "train",
            }
            for n in range(24)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        recipe = {
            "model": str(tiny_model_folder),
            "tasks": [
                {
                    "name": name,
                    "data": {"path": f"{name}.jsonl"},
                    "prompt": "{{ question }}",
                    "completion": "{{ answer }}",
                    "split": {"column": "split"},
                    "metrics": list(metrics),
                    "max_new_tokens": 8,
                }
            ],
            "tune": {"rank": 4, "epochs": 2, "batch_size": 4, "learning_rate": 0.01},
            **fields,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
        return path

    return write


def teach(path: Path, *, after: Path | None = None, out: str = "", listener: Any = None) -> dict[str, Any]:
    folder = path.parent / (out or path.stem)
    return run(load(path, continues=after), out=folder, listener=listener).results


def answered(folder: Path) -> dict[tuple[str, str], int]:
    with Store.open(folder / "results.sqlite", read_only=True) as store:
        return {(e.model, e.name): len(e.responses()) for e in store.evaluations()}


def score(folder: Path, model: str, task: str) -> float:
    with Store.open(folder / "results.sqlite", read_only=True) as store:
        (evaluation,) = store.evaluations(model=model, name=task)
        return 100 * evaluation.scores()["rougeL"].score.value


def test_three_runs_fill_the_matrix(write_recipe: Recipe, tmp_path: Path) -> None:
    a, b, c = (write_recipe(name) for name in THINGS)
    first = teach(a)
    assert "sequence" not in first
    teach(b, after=tmp_path / "colours")
    results = teach(c, after=tmp_path / "sizes")
    sequence = results["sequence"]
    assert [stage["name"] for stage in sequence["stages"]][1:] == ["colours", "sizes", "days"]
    assert [stage["tasks"] for stage in sequence["stages"]] == [[], ["colours"], ["sizes"], ["days"]]
    r = {
        (name, int(stage)): cell["value"]
        for name, task in sequence["tasks"].items()
        for stage, cell in task["scores"].items()
    }
    # Every cell is the score that the run of its stage has on record.
    expected = {
        ("colours", 0): ("colours", "base"),
        ("colours", 1): ("colours", "tuned"),
        ("colours", 2): ("sizes", "tuned"),
        ("colours", 3): ("days", "tuned"),
        ("sizes", 0): ("sizes", "original base"),
        ("sizes", 1): ("sizes", "base"),
        ("sizes", 2): ("sizes", "tuned"),
        ("sizes", 3): ("days", "tuned"),
        ("days", 0): ("days", "original base"),
        ("days", 2): ("days", "base"),
        ("days", 3): ("days", "tuned"),
    }
    assert r == {
        cell: pytest.approx(score(tmp_path / folder, model, cell[0]))
        for cell, (folder, model) in expected.items()
    }
    figures = sequence["figures"]
    assert figures["accuracy"]["value"] == pytest.approx(sum(r[name, 3] for name in THINGS) / 3)
    changes = [r["colours", 3] - r["colours", 1], r["sizes", 3] - r["sizes", 2]]
    assert figures["backward_transfer"]["value"] == pytest.approx(sum(changes) / 2)
    forward = [r["sizes", 1] - r["sizes", 0], r["days", 2] - r["days", 0]]
    assert figures["forward_transfer"]["value"] == pytest.approx(sum(forward) / 2)
    lost = [
        max(r["colours", 1], r["colours", 2]) - r["colours", 3],
        max(r["sizes", 1], r["sizes", 2]) - r["sizes", 3],
    ]
    assert figures["average_forgetting"]["value"] == pytest.approx(sum(lost) / 2)
    assert sequence["sentence"].startswith("After teaching days, colours ")
    # Each run asked only what no earlier one had asked: the last one its own rows three times, the others' once.
    assert answered(tmp_path / "days") == {
        ("base", "days"): 6,
        ("tuned", "days"): 6,
        ("original base", "days"): 6,
        ("tuned", "colours"): 6,
        ("tuned", "sizes"): 6,
    }
    page = (tmp_path / "days" / "report.html").read_text("utf-8")
    assert "In sequence" in page
    assert sequence["sentence"].split(";")[0] in page
    # The adapters of this folder's model are merged, and the next run goes on from what was scored.
    assert (tmp_path / "days" / "start" / "model.safetensors").is_file()
    assert not run(load(c, continues=tmp_path / "sizes"), out=tmp_path / "days").fresh


def test_the_command_says_what_was_lost(
    write_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes")
    assert main(["run", str(a), "--out", str(tmp_path / "a")]) == 0
    words = ["run", str(b), "--from", str(tmp_path / "a"), "--out", str(tmp_path / "b")]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "colours, taught in stage 1: " in shown.out
    assert "After teaching sizes, colours " in shown.out
    assert "stage 2 after a, whose tuned model is the base here; asked again: colours" in shown.err
    recipe = yaml.safe_load((tmp_path / "b" / "recipe.yaml").read_text("utf-8"))
    assert recipe["continues"] == recipe["model"] == str(tmp_path / "a")
    # A recipe that names the run itself is the same recipe.
    stated = write_recipe("sizes", continues=str(tmp_path / "a"))
    assert main(["run", str(stated), "--out", str(tmp_path / "b")]) == 0
    assert "everything was done before" in capsys.readouterr().err


def test_a_stopped_run_asks_nothing_twice(
    write_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes")
    teach(a)
    whole = teach(b, after=tmp_path / "colours", out="whole")
    requested: list[tuple[str, str]] = []
    real = measure.ModelEvaluator._ask

    def counting(self: Any, engine: Any, key: Any, evaluation: Any, *rest: Any) -> None:
        requested.extend((self.model, request.id) for request in rest[0])
        real(self, engine, key, evaluation, *rest)

    monkeypatch.setattr(measure.ModelEvaluator, "_ask", counting)
    with monkeypatch.context() as patched:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(in_sequence, "_results", stop)
        with pytest.raises(KeyboardInterrupt):
            teach(b, after=tmp_path / "colours")
    before = len(requested)
    assert before == 6 * 4  # base, tuned and original base the new rows, the tuned model the earlier ones
    results = teach(b, after=tmp_path / "colours")
    assert len(requested) == before
    assert results["sequence"]["tasks"] == whole["sequence"]["tasks"]
    assert results["sequence"]["figures"] == whole["sequence"]["figures"]
    assert len(requested) == len(set(requested))


def test_a_run_that_was_stopped_while_merging_goes_on(write_recipe: Recipe, tmp_path: Path) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes")
    teach(a)
    teach(b, after=tmp_path / "colours")
    start = tmp_path / "sizes" / "start"
    weights = (start / "model.safetensors").read_bytes()
    shutil.rmtree(start)
    (tmp_path / "sizes" / "start.json").unlink()
    (tmp_path / "sizes" / "results.json").unlink()
    teach(b, after=tmp_path / "colours")
    assert (start / "model.safetensors").read_bytes() == weights
    (start / "model.safetensors").write_bytes(weights[:-4] + b"\1\2\3\4")
    with pytest.raises(InputError, match="not as it was written with the merged model") as caught:
        teach(b, after=tmp_path / "colours")
    assert f"remove {start}" in str(caught.value)


def test_full_tuning_goes_on_without_a_merged_copy(write_recipe: Recipe, tmp_path: Path) -> None:
    tune = {"method": "full", "epochs": 1, "batch_size": 4, "learning_rate": 0.001}
    a, b = (write_recipe(name, tune=tune) for name in ("colours", "sizes"))
    teach(a)
    results = teach(b, after=tmp_path / "colours")
    assert set(results["sequence"]["tasks"]) == {"colours", "sizes"}
    assert not (tmp_path / "sizes" / "start").exists()


def test_test_rows_of_earlier_tasks_are_not_trained_on(write_recipe: Recipe, tmp_path: Path) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes")
    rows = [json.loads(line) for line in (tmp_path / "colours.jsonl").read_text("utf-8").splitlines()]
    with (tmp_path / "sizes.jsonl").open("a", encoding="utf-8") as file:
        for row in rows:  # test rows of colours among the training rows of sizes, under the same words
            if row["split"] == "test":
                file.write(json.dumps({**row, "split": "train"}) + "\n")
        trained = [row for row in rows if row["split"] == "train"][:2]
        file.writelines(json.dumps({**row, "split": "test"}) + "\n" for row in trained)
    teach(a)
    teach(b, after=tmp_path / "colours")
    card = json.loads((tmp_path / "sizes" / "data" / "card.json").read_text("utf-8"))["tasks"]["sizes"]
    assert card["shared"] == 6
    assert card["splits"] == {"train": 12, "validation": 6, "test": 8}
    assert card["trained_before"] == 2
    page = (tmp_path / "sizes" / "report.html").read_text("utf-8")
    assert "<dt>test rows like what earlier runs trained on</dt><dd>2</dd>" in page


def test_watched_benchmarks_are_also_compared_with_the_original_base(
    write_recipe: Recipe, tmp_path: Path
) -> None:
    watch = [{"benchmark": PROBE, "limit": 2}]
    a, b = (write_recipe(name, watch=watch) for name in ("colours", "sizes"))
    first = teach(a)
    results = teach(b, after=tmp_path / "colours")
    since = results["sequence"]["watched"][PROBE]
    primary = first["watched"][PROBE]["primary"]
    original = first["watched"][PROBE]["base"][primary]["value"]
    now = results["watched"][PROBE]["tuned"][primary]["value"]
    assert since["value"] == pytest.approx(100 * (now - original))
    assert since["low"] <= since["value"] <= since["high"]
    # Its own comparison is with the model that it started from.
    before = results["watched"][PROBE]["base"][primary]["value"]
    assert before == pytest.approx(first["watched"][PROBE]["tuned"][primary]["value"], abs=0.05)


def test_a_run_beside_the_one_that_names_it_is_found(
    write_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = (write_recipe(name) for name in THINGS)
    monkeypatch.chdir(tmp_path)
    teach(a, out="runs/colours")
    teach(b, after=Path("runs/colours"), out="runs/sizes")
    moved = tmp_path / "elsewhere"
    (tmp_path / "runs").rename(moved)
    results = teach(c, after=Path("elsewhere/sizes"), out="elsewhere/days")
    assert set(results["sequence"]["tasks"]) == set(THINGS)


def _unfinished(folder: Path) -> None:
    (folder / "results.json").unlink()


def _edited_results(folder: Path) -> None:
    path = folder / "results.json"
    path.write_text(path.read_text("utf-8").replace('"learned": "', '"learned": "no", "was": "'), "utf-8")


def _damaged_model(folder: Path) -> None:
    path = next((folder / "model").glob("*.safetensors"))
    content = path.read_bytes()
    path.write_bytes(content[:-4] + b"\1\2\3\4")


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_unfinished, "the run is not finished"),
        (_edited_results, "the file was changed after it was written"),
        (_damaged_model, "the file is not as it was written with the tuned model"),
        (_gone, "there is no such run"),
    ],
)
def test_a_run_that_is_not_whole_is_not_gone_on_from(
    write_recipe: Recipe, tmp_path: Path, change: Callable[[Path], None], problem: str
) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes", model=None)
    recipe = yaml.safe_load(b.read_text("utf-8"))
    del recipe["model"]
    b.write_text(yaml.safe_dump(recipe), "utf-8")
    teach(a)
    change(tmp_path / "colours")
    with pytest.raises(TutelageError, match=problem):
        teach(b, after=tmp_path / "colours")
    assert not (tmp_path / "sizes" / "model").exists()


def test_rows_that_changed_since_are_refused_before_the_training(
    write_recipe: Recipe, tmp_path: Path
) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes")
    teach(a)
    path = tmp_path / "colours.jsonl"
    path.write_text(path.read_text("utf-8").replace("item 4, please", "item 4"), "utf-8")
    with pytest.raises(
        InputError, match="the test rows of colours are not those that the run asked"
    ) as caught:
        teach(b, after=tmp_path / "colours")
    assert "6 rows, of which 5 are the 6 asked then" in str(caught.value)
    assert not (tmp_path / "sizes" / "model").exists()
    path.unlink()
    with pytest.raises(InputError, match=r"colours\.jsonl"):
        teach(b, after=tmp_path / "colours")


def test_the_name_of_an_earlier_task_is_refused(write_recipe: Recipe, tmp_path: Path) -> None:
    a = write_recipe("colours")
    teach(a)
    with pytest.raises(InputError, match="an earlier run taught a task of this name") as caught:
        teach(a, after=tmp_path / "colours", out="again")
    assert "tasks.0.name" in str(caught.value)


def test_a_model_beside_the_run_is_refused(
    write_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes")
    teach(a)
    other = write_recipe("days", model="smollm2-135m-instruct", retain={"colours": 5.0})
    with pytest.raises(InputErrors) as caught:  # all mistakes at once
        load(other, continues=tmp_path / "colours")
    text = str(caught.value)
    assert "another model than the one that the run before it tuned" in text
    assert "days.yaml:1: model" in text
    assert "retain has a benchmark that is not watched" in text
    assert "what it lost is in the results, without a budget" in text
    words = ["run", str(b), "--from", str(tmp_path / "colours"), "--set", "model=smollm2-135m-instruct"]
    assert main(words) == 2
    assert "two models to start from" in capsys.readouterr().err


def test_other_commands_take_a_run_of_a_sequence(
    write_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write_recipe("colours"), write_recipe("sizes", watch=[{"benchmark": PROBE, "limit": 2}])
    teach(a)
    folder = tmp_path / "sizes"
    words = [str(b), "--from", str(tmp_path / "colours"), "--out", str(folder)]
    assert main(["train", *words]) == 0
    assert (folder / "model" / "adapter_config.json").is_file()
    assert main(["run", *words]) == 0
    shown = capsys.readouterr()
    assert "tune: was done before" in shown.err
    # Another run against it: the earlier task is a task of both.
    assert main(["compare", str(tmp_path / "colours"), str(folder), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    change = json.loads((folder / "results.json").read_text("utf-8"))["sequence"]["tasks"]["colours"][
        "change"
    ]
    assert set(compared["tasks"]) == {"colours"}
    assert 100 * compared["tasks"]["colours"]["difference"]["rougeL"]["value"] == pytest.approx(
        change["value"]
    )
    stated = write_recipe("sizes", continues=str(tmp_path / "colours"))
    assert main(["inspect", str(stated)]) == 0
    assert main(["export", str(folder), "--format", "lm-eval", "--to", str(tmp_path / "scores")]) == 0
    assert base_of(resolve(str(folder))).folder == folder / "start"
    words = ["protect", str(folder), "--recipe", str(b), "--scale", "0.5", "--budget", f"{PROBE}=100"]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    protected = json.loads(shown.out)
    assert "tune: was done before" in shown.err
    assert protected["sequence"]["stages"][2]["name"] == "sizes-protected"


def test_full_tuning_after_an_adapter_is_scaled_towards_the_merged_model(
    write_recipe: Recipe, tmp_path: Path
) -> None:
    a = write_recipe("colours")
    b = write_recipe(
        "sizes",
        tune={"method": "full", "epochs": 1, "batch_size": 4, "learning_rate": 0.001},
        watch=[{"benchmark": PROBE, "limit": 20}],
        retain={PROBE: 100.0},
        protect={"scales": [0.5]},
    )
    teach(a)
    results = teach(b, after=tmp_path / "colours")
    assert results["protection"]["chosen"] == 0.5
    weights = [
        load_file(tmp_path / "sizes" / name / "model.safetensors") for name in ("start", "model", "unscaled")
    ]
    for name, half in weights[1].items():
        assert (half - (weights[0][name] + weights[2][name]) / 2).abs().max() < 1e-6


def test_an_earlier_task_in_all_wordings_and_by_both_ways_of_answering(
    write_recipe: Recipe, tmp_path: Path
) -> None:
    rows = [
        {
            "first": f"plan {n * 7919 % 1000} is ready.",
            "second": f"It is {n * 31 % 100} of {n}.",
            "label": n % 2,
        }
        for n in range(20)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    pairs = {
        "name": "pairs",
        "data": {"path": "pairs.jsonl"},
        "template": "paraphrase",
        "labels": ["no", "yes"],
        "answer": "both",
        "test_wordings": "all",
        "split": {"train": 8, "validation": 4, "test": 4},
        "metrics": ["accuracy"],
        "max_new_tokens": 3,
    }
    teach(write_recipe("colours", tasks=[pairs]))
    results = teach(write_recipe("sizes"), after=tmp_path / "colours")
    tasks = results["sequence"]["tasks"]
    assert set(tasks) == {"pairs", "pairs (rank classification)", "sizes"}
    assert tasks["pairs"]["scores"]["1"]["n"] > 4  # each row in each wording
    assert results["sequence"]["figures"]["average_forgetting"]["tasks"] == 2


def test_a_soft_prompt_cannot_be_gone_on_from(write_recipe: Recipe, tmp_path: Path) -> None:
    a = write_recipe(
        "colours", tune={"method": "prompt-tuning", "virtual_tokens": 4, "epochs": 1, "batch_size": 4}
    )
    teach(a)
    with pytest.raises(InputError, match="prompt-tuning") as caught:
        teach(write_recipe("sizes"), after=tmp_path / "colours")
    assert "such as lora" in str(caught.value)


def test_a_changed_original_base_is_refused(
    write_recipe: Recipe, tmp_path: Path, tiny_model_folder: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model_folder, base)
    tune = {"method": "full", "epochs": 1, "batch_size": 4, "learning_rate": 0.001}
    a, b = (write_recipe(name, model=str(base), tune=tune) for name in ("colours", "sizes"))
    teach(a)
    path = base / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "rms_norm_eps": 0.5}), "utf-8")
    os.utime(path)
    with pytest.raises(InputError, match="the model that the sequence began with was changed"):
        teach(b, after=tmp_path / "colours")
