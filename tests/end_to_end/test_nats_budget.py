"""A budget in nats, from the recipe to the page: confirmed beforehand, judged, searched, and refused where answers have no likelihood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tutelage.cli.main import main
from tutelage.config import load
from tutelage.config.identity import resolved, run_folder
from tutelage.core.errors import InputError, InputErrors
from tutelage.job.run import run
from tutelage.results.store import Store

SPEC = """\
version: 1
name: prices
title: What it costs
data: {path: rows.jsonl}
form: text
prompt: "{{ question }}"
join: " "
choices: ["12 euros", "a month"]
answer: "{{ right }}"
"""


@pytest.fixture
def priced(job: Path) -> Path:
    """The job, watching 40 items with two choices each."""
    (job / "bench").mkdir()
    rows = [{"question": f"Plan {n}?", "right": ["12 euros", "a month"][n % 3 == 0]} for n in range(40)]
    (job / "bench" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (job / "bench" / "spec.yaml").write_text(SPEC, "utf-8")
    change(job, watch=[{"benchmark": "./bench"}], retain={"./bench": {"nats": 2.0}})
    return job


def change(job: Path, **fields: Any) -> Path:
    path = job / "recipe.yaml"
    recipe = {**yaml.safe_load(path.read_text("utf-8")), **fields}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def log_probabilities(folder: Path, model: str) -> np.ndarray[Any, Any]:
    """Those of the right answers among the choices, from the stored responses."""
    with Store.open(folder / "results.sqlite", read_only=True) as store:
        (evaluation,) = (each for each in store.evaluations(suite="benchmark") if each.model == model)
        responses = evaluation.responses()
        values = []
        for item in evaluation.items():
            logprobs = np.array(responses[item.id].logprobs)
            right = ["12 euros", "a month"].index(item.references[0])
            values.append(logprobs[right] - np.logaddexp.reduce(logprobs))
    return np.array(values)


def test_the_loss_is_that_of_the_stored_log_probabilities(
    priced: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    recipe = change(priced, protect={"scales": [0.5, 1.0]})
    code = main(["run", str(recipe), "--out", str(priced / "out")])
    shown = capsys.readouterr()
    results = json.loads((priced / "out" / "results.json").read_text("utf-8"))
    ((name, watched),) = results["watched"].items()
    budget = watched["budget"]
    losses = log_probabilities(priced / "out", "base") - log_probabilities(priced / "out", "tuned")
    assert budget["loss"] == pytest.approx(losses.mean())
    assert (budget["nats"], budget["n"]) == (2.0, 40)
    assert code == (1 if results["provenance"]["over_budget"] else 0)
    assert set(watched["base"]) == {"accuracy"}  # nothing is stored or scored otherwise
    assert f"nats an item, budget 2: {budget['word']}" in shown.out.replace("\n", " ")
    page = (priced / "out" / "report.html").read_text("utf-8")
    assert "The log-probability of the right answers fell by" in page
    search = results["protection"]
    for candidate in search["candidates"]:
        test = candidate["losses"][name]
        found = log_probabilities(priced / "out", "base") - log_probabilities(
            priced / "out", f"scale {candidate['scale']:g}"
        )
        assert test["loss"] == pytest.approx(found.mean())
        assert (test["unit"], test["budget"]) == ("nats", 2.0)
    assert "(budget 2 nats)" in page
    assert "against loss in nats an item" in page
    assert not run(load(recipe), out=priced / "out").fresh


def test_what_cannot_be_confirmed_is_said_before_the_tuning(
    priced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = change(priced, retain={"./bench": {"nats": 0.0001}})
    main(["run", str(recipe), "--out", str(priced / "out")])
    shown = capsys.readouterr().err
    note = next(line for line in shown.splitlines() if "a budget of 0.0001 nats needs about" in line)
    assert "40 are watched" in note
    assert shown.index(note) < shown.index("\ntune")


def test_a_finished_run_is_protected_within_nats(priced: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = change(priced, retain={})
    run(load(recipe), out=priced / "out")
    words = ["protect", str(priced / "out"), "--recipe", str(recipe), "--scale", "1", "--json"]
    assert main([*words, "--budget", "./bench=50nats"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["recipe"]["retain"] == {"./bench": {"nats": 50.0}}
    (test,) = results["protection"]["candidates"][0]["losses"].values()
    assert (test["unit"], test["budget"], test["within"]) == ("nats", 50.0, True)
    assert main([*words, "--budget", "./bench=nats"]) == 2
    assert "0.05nats" in json.loads(capsys.readouterr().out)["error"]["fix"]


def test_generated_answers_are_refused_before_anything_is_asked(job: Path) -> None:
    recipe = change(job, protect="auto", retain={"general-probe": {"nats": 0.05}})
    with pytest.raises(InputError, match="a budget in nats for answers without likelihoods") as caught:
        run(load(recipe), out=job / "out")
    assert caught.value.where == "retain.general-probe"
    assert "answers are generated in" in caught.value.found
    assert not (job / "out").exists()


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ({"nats": 0}, "out of range"),
        ({"nats": "low"}, "not a number"),
        ({"nat": 0.1}, "there is no field nat"),
        ({}, "the field nats is missing"),
        (-1.0, "out of range"),
        ("5 points", "not a number"),
    ],
)
def test_a_wrong_budget_is_one_mistake_at_its_place(priced: Path, budget: Any, problem: str) -> None:
    with pytest.raises((InputError, InputErrors), match=problem) as caught:
        load(change(priced, retain={"./bench": budget}))
    assert "retain../bench" in str(caught.value)


def test_a_number_stays_points_and_nats_name_another_run(priced: Path) -> None:
    recipes = [
        load(change(priced, retain={"./bench": budget})) for budget in (2.0, {"nats": 2.0}, {"nats": 1.0})
    ]
    assert [resolved(recipe)["retain"]["./bench"] for recipe in recipes] == [
        2.0,
        {"nats": 2.0},
        {"nats": 1.0},
    ]
    assert len({run_folder(recipe).path for recipe in recipes}) == 3
