"""An evaluation in lm-evaluation-harness's layout: its keys, its files, its numbers."""

from __future__ import annotations

import json
import math
import statistics
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from tutelage.benchmarks.aggregates import weighted
from tutelage.cli.main import main
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.results import lm_eval
from tutelage.results.lm_eval.samples import digest
from tutelage.results.store import Item, Store

LAYOUT = yaml.safe_load(Path(__file__).with_name("lm_eval_0.4.13.yaml").read_text("utf-8"))
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "null": type(None)}
STARTED = "2026-01-02T03:04:05+00:00"
SPEC = """\
version: 3
name: prices
title: What it costs
data: {path: rows.jsonl, part: kind}
form: text
prompt: "{{ question }}"
join: " "
choices: options
answer: "{{ right }}"
shots: {path: rows.jsonl, count: 1}
metrics: [accuracy, "choice_accuracy:by=bytes"]
"""


def fits(value, layout, where="document"):
    """Whether a value has the keys of a layout, each of its type; `any` stands for all names, `|` for either type."""
    if isinstance(layout, str):
        kinds = tuple(TYPES[kind] for kind in layout.split("|"))
        assert isinstance(value, kinds), f"{where}: {value!r} is no {layout}"
        assert not isinstance(value, bool) or bool in kinds, where
        return
    assert isinstance(value, dict), where
    for key, inner in layout.items():
        names = list(value) if key == "any" else [key]
        assert names, where
        for name in names:
            assert name in value, f"{where}: no {name}"
            fits(value[name], inner, f"{where}.{name}")


def fits_all(document):
    """A whole results document: its layout, no key that is not theirs, and values with their errors."""
    wanted = {
        key: inner
        for key, inner in LAYOUT["results"].items()
        if key in document or key not in LAYOUT["optional"]
    }
    fits(
        document, {**wanted, "group_subtasks": wanted["group_subtasks"] if document["group_subtasks"] else {}}
    )
    assert set(document) <= set(LAYOUT["results"])
    for name, values in document["results"].items():
        numbers = {key: value for key, value in values.items() if "," in key}
        assert numbers, name
        for key, value in numbers.items():
            metric, _, by = key.partition(",")
            fits(value, LAYOUT["score"]["error" if metric.endswith("_stderr") else "value"], key)
            assert by == "none"
            assert metric.endswith("_stderr") or f"{metric}_stderr,none" in numbers
        assert set(values) - set(numbers) <= {"name", "alias", "sample_len", "sample_count"}


def samples_of(folder, document):
    """The samples by task, each file found by its name and each line held against the layout."""
    found = {}
    for name in document["configs"]:
        (path,) = folder.glob(f"samples_{name}_[0-9][0-9][0-9][0-9]-*.jsonl")
        found[name] = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
        for sample in found[name]:
            fits(sample, LAYOUT["sample"])
            assert set(sample) - set(LAYOUT["sample"]) == set(sample["metrics"])
            assert all(isinstance(sample[metric], float) for metric in sample["metrics"])
            listed = [entry["metric"] for entry in document["configs"][name]["metric_list"]]
            assert set(listed) <= set(sample["metrics"])
        hashes = "".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in found[name])
        assert document["task_hashes"][name] == digest(hashes)
    return found


@pytest.fixture
def evaluated(tmp_path, tiny_model_folder):
    place = tmp_path / "prices"
    place.mkdir()
    rows = [
        {
            "kind": ["a", "b"][n % 2],
            "question": f"Plan {n}?",
            "options": ["12 euros", "no"],
            "right": ["12 euros", "no"][n % 3 == 0],
        }
        for n in range(12)
    ]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (place / "spec.yaml").write_text(SPEC, "utf-8")
    out = tmp_path / "out"
    assert (
        main(
            [
                "evaluate",
                str(tiny_model_folder),
                "--benchmark",
                str(place),
                "--limit",
                "4",
                "--out",
                str(out),
                "--json",
            ]
        )
        == 0
    )
    return out


def exported(folder, to):
    assert main(["export", str(folder), "--to", str(to), "--format", "lm-eval"]) == 0
    return to


def document_of(folder):
    (path,) = folder.glob("results_*.json")
    assert len(path.stem.partition("_")[2]) == len(LAYOUT["stamp"])
    return json.loads(path.read_text("utf-8"))


def test_the_layout_is_theirs(evaluated, tmp_path, capsys):
    capsys.readouterr()
    assert (
        main(["export", str(evaluated), "--to", str(tmp_path / "theirs"), "--format", "lm-eval", "--json"])
        == 0
    )
    files = json.loads(capsys.readouterr().out)["files"]
    assert [name.partition("_2")[0] for name in files] == ["results", "samples_prices_a", "samples_prices_b"]
    document = document_of(tmp_path / "theirs")
    fits_all(document)
    ours = json.loads((evaluated / "evaluation.json").read_text("utf-8"))["benchmarks"]["prices"]
    assert document["results"]["prices_a"]["acc,none"] == ours["parts"]["a"]["accuracy"]["value"]
    assert (
        document["groups"]["prices"]["acc_bytes,none"] == ours["scores"]["choice_accuracy:by=bytes"]["value"]
    )
    assert document["results"]["prices"] == document["groups"]["prices"]
    assert document["group_subtasks"] == {"prices": ["prices_a", "prices_b"]}
    assert document["n-samples"]["prices_b"] == {"original": 6, "effective": 4}
    assert document["n-shot"] == {"prices": 1, "prices_a": 1, "prices_b": 1}
    assert document["versions"]["prices_a"] == 3
    samples = samples_of(tmp_path / "theirs", document)["prices_a"]
    for sample in samples:
        assert len(sample["resps"]) == len(sample["arguments"]) == 2
        assert all(list(map(type, one)) == [str, str] for one in sample["filtered_resps"])
        best = max((0, 1), key=lambda n: float(sample["filtered_resps"][n][0]))  # called at once
        assert sample["acc"] == float(sample["doc"]["choices"][best] == sample["target"])
    mean = sum(sample["acc"] for sample in samples) / 4
    assert mean == document["results"]["prices_a"]["acc,none"]


def test_hashes_are_theirs():
    theirs = LAYOUT["hashes"]
    assert digest(json.dumps(theirs["doc"], indent=2, ensure_ascii=False)) == theirs["doc_hash"]
    assert digest(theirs["prompt"]) == theirs["prompt_hash"]
    assert digest(theirs["target"]) == theirs["target_hash"]


ITEMS = [Item(f"q{n}", ["x y", "x_y", "z"][n % 3], f"Q {n}?", ("yes",)) for n in range(12)]


def put(store, *, model, suite, name, items, right, metrics):
    """One evaluation of generated answers, scored whole, by part, by a group of two parts and as a mean over parts."""
    one = store.evaluation(
        model=model, suite=suite, name=name, fingerprint="f", provenance={"started": STARTED}
    )
    one.declare(items)
    said = {item.id: "yes" if n < right else "no" for n, item in enumerate(items)}
    one.add([Response(id=i.id, text=said[i.id], finish="stop", tokens=1) for i in items])
    rows = [Row(said[i.id], i.references, {"choices": ["a"]}, task=i.part) for i in items]
    whole = score_rows(metrics, rows)
    one.write_scores("", whole, primary=metrics[0])
    if suite == "task":
        return
    for part in dict.fromkeys(i.part for i in items):
        one.write_scores(
            part, score_rows(metrics, [row for row in rows if row.task == part]), primary=metrics[0]
        )
    loud = [n for n, i in enumerate(items) if i.part != "z"]
    ids = [items[n].id for n in loud]
    one.write_scores("loud", score_rows(metrics, [rows[n] for n in loud]), primary=metrics[0], ids=ids)
    shares = {"x y": 1.0, "x_y": 1.0, "z": 1.0}
    macro = weighted(whole[metrics[0]], [i.part for i in items], shares, "macro")
    one.write_scores("macro", {metrics[0]: macro}, primary=metrics[0], ids=[i.id for i in items])


@pytest.fixture
def run_folder(tmp_path):
    """A run's folder: a task and a benchmark of one name, before and after."""
    folder = tmp_path / "run"
    with Store.open(folder / "results.sqlite") as store:
        for model, right in (("tuned", 9), ("base", 3)):
            rows = [Item(i.id, "", i.prompt, i.references, {"choices": "a column", "id": 5}) for i in ITEMS]
            for suite, items, first in (("task", rows, "rouge1"), ("benchmark", ITEMS, "accuracy")):
                put(
                    store,
                    model=model,
                    suite=suite,
                    name="bot",
                    items=items,
                    right=right,
                    metrics=[first, "mcc"],
                )
    said = {"started": STARTED, "ended": "2026-01-02T04:00:00+00:00", "versions": {"transformers": "5"}}
    text = json.dumps({"recipe": {"model": "some/model"}, "provenance": said})
    (folder / "results.json").write_text(text, "utf-8")
    return folder


def test_a_run_is_written_before_and_after(run_folder, tmp_path):
    to = exported(run_folder, tmp_path / "theirs")
    assert {path.name for path in to.iterdir()} == {"base", "tuned", "tutelage.json"}
    base, tuned = (document_of(to / side) for side in ("base", "tuned"))
    for side, document in (("base", base), ("tuned", tuned)):
        with pytest.raises(AssertionError, match="total_evaluation_time_seconds"):
            fits_all(document)  # tuning lies between the two
        fits_all({**document, "total_evaluation_time_seconds": "0"})
        samples_of(to / side, document)
    assert (base["model_name"], base["model_name_sanitized"]) == ("some/model", "some__model")
    assert tuned["model_name"] == "run"
    assert base["results"]["bot_2"]["acc,none"] == 3 / 12
    assert tuned["results"]["bot_2"]["acc,none"] == 9 / 12
    assert tuned["date"] == datetime.fromisoformat(STARTED).timestamp()
    (path,) = (to / "base").glob("results_*")
    assert path.name == "results_2026-01-02T04-00-00.000000.json"


def test_groups_of_parts_lie_below_and_averages_are_metrics(run_folder, tmp_path):
    document = document_of(exported(run_folder, tmp_path / "theirs") / "tuned")
    assert document["group_subtasks"] == {
        "bot_2": ["bot_2_loud", "bot_2_z"],
        "bot_2_loud": ["bot_2_x_y", "bot_2_x_y_2"],
    }
    assert document["results"]["bot_2_loud"]["sample_len"] == 8
    assert document["results"]["bot_2"]["acc_macro,none"] == pytest.approx(9 / 12)
    assert {document["results"][name]["alias"] for name in ("bot_2_x_y", "bot_2_x_y_2")} == {"x y", "x_y"}


def test_a_standard_error_stands_only_beside_a_mean(run_folder, tmp_path):
    values = document_of(exported(run_folder, tmp_path / "theirs") / "tuned")["results"]
    items = [1.0] * 9 + [0.0] * 3
    error = statistics.stdev(items) / math.sqrt(12)
    assert values["bot_2"]["acc_stderr,none"] == pytest.approx(error)
    assert values["bot"]["rouge1_stderr,none"] == pytest.approx(error)
    assert values["bot"]["mcc_stderr,none"] == "N/A"
    assert values["bot_2"]["mcc_stderr,none"] == "N/A"


def test_a_row_of_a_task_keeps_its_columns_apart(run_folder, tmp_path):
    to = exported(run_folder, tmp_path / "theirs") / "base"
    (first, *_) = samples_of(to, document_of(to))["bot"]
    assert first["doc"]["id"] == "q0"
    assert first["doc"]["row"] == {"choices": "a column", "id": 5}
    assert first["resps"] == [["yes"]]
    assert first["arguments"] == {"gen_args_0": {"arg_0": "Q 0?", "arg_1": {"do_sample": False}}}


def test_two_metrics_of_one_name_there_are_told_apart(tmp_path):
    folder = tmp_path / "out"
    metrics = ["bbh:mode=direct", "bbh:mode=cot"]
    with Store.open(folder / "results.sqlite") as store:
        put(store, model="m", suite="task", name="t", items=ITEMS, right=4, metrics=metrics)
    document = document_of(exported(folder, tmp_path / "theirs"))
    assert {"exact_match,none", "bbh:mode=cot,none"} <= set(document["results"]["t"])
    assert "groups" not in document
    assert document["group_subtasks"] == {}


def test_a_write_that_stops_half_way_leaves_nothing(run_folder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tutelage.results.lm_eval.writing.aggregated", stop)
    with Store.open(run_folder / "results.sqlite", read_only=True) as store, pytest.raises(KeyboardInterrupt):
        lm_eval.write(tmp_path / "theirs", store)
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_a_damaged_document_and_a_store_without_scores_are_refused(run_folder, tmp_path, capsys):
    words = ["export", str(run_folder), "--to", str(tmp_path / "x"), "--format", "lm-eval"]
    (run_folder / "results.json").write_text('{"recipe": []}', "utf-8")
    assert main(words) == 2
    assert "results.json: recipe" in capsys.readouterr().err
    for watched, place in (
        ([], "results.json: watched"),
        ({"general-probe": 3}, "results.json: watched.general-probe"),
        ({"general-probe": {"told": []}}, "results.json: watched.general-probe.told"),
        ({"general-probe": {"told": {"sizes": 4}}}, "watched.general-probe.told.sizes"),
        ({"general-probe": {"told": {"sizes": {"a": "x"}}}}, "general-probe.told.sizes.a"),
    ):
        document = {"recipe": {}, "provenance": {}, "watched": watched}
        (run_folder / "results.json").write_text(json.dumps(document), "utf-8")
        assert main(words) == 2
        assert place in "".join(capsys.readouterr().err.split("\n"))
    with Store.open(tmp_path / "empty" / "results.sqlite"):
        pass
    assert main([words[0], str(tmp_path / "empty"), *words[2:]]) == 2
    assert "nothing has been scored here yet" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_is_in_use_and_what_does_not_belong_is_refused(evaluated, tmp_path, capsys):
    words = ["export", str(evaluated), "--to", str(evaluated), "--format", "lm-eval"]
    assert main(words) == 2
    assert "the output is what the command reads" in capsys.readouterr().err
    assert main([*words[:3], str(tmp_path / "x"), *words[4:], "--merge"]) == 2
    assert "--merge" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "x"), "--format", "lm-eval"]) == 2
    assert "there are no results here" in capsys.readouterr().err
