"""Suites: tasks of other benchmarks as one benchmark, with the mean over tasks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from tutelage.benchmarks import Limit, RowsSpec, describe, load, names
from tutelage.benchmarks.bigbench import BigBenchSpec
from tutelage.benchmarks.suite import SuiteSpec
from tutelage.core.errors import InputError, InputErrors
from tutelage.evaluation.evaluate import evaluate
from tutelage.evaluation.options import EvaluationOptions

WORDS = {
    "version": 1,
    "name": "opposites",
    "title": "Opposites",
    "data": {"path": "{{ part }}.jsonl"},
    "form": "text",
    "join": " ",
    "prompt": "{{ word }} is not",
    "choices": "options",
    "answer": "{{ right }}",
    "metrics": ["accuracy"],
    "parts": {"nouns": {}, "verbs": {}, "adverbs": {}},
}
SUITE = {
    "version": 1,
    "name": "shop-and-words",
    "title": "A shop and opposites",
    "suite": {
        "colours": {"benchmark": "./bench", "parts": ["colours"], "low": 0.5},
        "numbers": {"benchmark": "./bench", "parts": ["numbers"]},
        "opposites": {
            "benchmark": "./words",
            "parts": ["nouns", "verbs"],
            "limit": 4,
            "low": 0.25,
            "high": 0.75,
        },
    },
}


@pytest.fixture
def suite(write, tmp_path, spec):
    """Write a suite with its benchmarks beside it; its path."""
    write(spec)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "spec.yaml").write_text(yaml.safe_dump(WORDS, sort_keys=False), encoding="utf-8")
    for part in ("nouns", "verbs"):
        rows = [{"word": f"{part} {n}", "options": [f"o{n}", f"w{n}"], "right": f"o{n}"} for n in range(6)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "words" / f"{part}.jsonl").write_text(text, encoding="utf-8")

    def make(tasks=SUITE["suite"], **changes):
        path = tmp_path / "suite.yaml"
        path.write_text(
            yaml.safe_dump({**SUITE, "suite": tasks, **changes}, sort_keys=False), encoding="utf-8"
        )
        return str(path)

    return make


def test_its_parts_are_those_of_its_benchmarks(suite):
    benchmark = load(suite())
    assert benchmark.name == "shop-and-words"
    assert benchmark.parts == ("colours", "numbers", "opposites.nouns", "opposites.verbs")
    assert benchmark.sizes == {"colours": 2, "numbers": 3, "opposites.nouns": 6, "opposites.verbs": 6}
    assert [item.part for item in benchmark.items].count("opposites.nouns") == 4
    assert len({item.id for item in benchmark.items}) == len(benchmark.items)
    assert benchmark.items[0].id == "colours/c1"
    alone = load(suite().replace("suite.yaml", "bench"), parts=["colours"])
    ours, theirs = benchmark.requests()[0], alone.requests()[0]
    assert (ours.prompt, ours.choices, ours.form) == (theirs.prompt, theirs.choices, theirs.form)
    assert benchmark.fingerprint != load(suite(version=2)).fingerprint


def test_each_task_weighs_the_same_from_chance_to_the_best(suite, chose, said):
    benchmark = load(suite())
    responses = {}
    wrong = {"colours/c2", *[item.id for item in benchmark.items if item.part == "opposites.nouns"][:2]}
    for item in benchmark.items:
        if item.part == "numbers":
            responses[item.id] = said(item.id, "4" if item.id == "numbers/n1" else "none")
        else:
            right = item.choices.index(item.references[0])
            place = 1 - right if item.id in wrong else right
            responses[item.id] = chose(item.id, *[-1.0 if choice == place else -2.0 for choice in (0, 1)])
    scores = benchmark.score(responses)
    # colours 1 of 2 from 0.5; numbers 1 of 3; nouns 2 of 4 and verbs 4 of 4 from 0.25 to 0.75.
    colours, numbers, nouns, verbs = 0.0, 1 / 3, 0.5, 1.5
    total = scores.scores["task_score"].score
    assert total.value == pytest.approx(np.mean([colours, numbers, (nouns + verbs) / 2]))
    assert total.low < total.value < total.high
    assert scores.primary == "task_score"
    assert scores.parts["opposites.verbs"]["accuracy"].score.value == 1
    assert scores.groups["opposites"]["task_score"].score.value == pytest.approx((nouns + verbs) / 2)
    assert {*scores.groups} == {"opposites"}


def test_a_limit_takes_fewer_items_and_never_more(suite):
    counts = [load(suite(), limit=limit).items for limit in (1, 3, 5)]
    assert [len(items) for items in counts] == [4, 2 + 3 + 3 + 3, 2 + 3 + 4 + 4]
    assert {item.id for item in counts[1]} <= {item.id for item in counts[2]}
    first = load(suite(), limit=Limit(1, first=True)).items
    assert [item.id.partition("/")[2] for item in first[:2]] == ["c1", "n1"]


def test_tasks_can_be_selected(suite):
    assert load(suite(), parts=["numbers"]).parts == ("numbers",)
    with pytest.raises(InputError, match="no such task"):
        load(suite(), parts=["number"])


def test_tasks_whose_data_is_not_here_are_listed(suite, tmp_path):
    tasks = {
        "colours": {"benchmark": "./bench", "parts": ["colours"]},
        "adverbs": {"benchmark": "./words", "parts": ["adverbs"]},
        "some": {"benchmark": "./words", "parts": ["nouns", "adverbs"]},
        "mmlu": {"benchmark": "mmlu:cloze"},
    }
    benchmark = load(suite(tasks), data=tmp_path)
    assert benchmark.parts == ("colours", "some.nouns")
    assert benchmark.missing == ("adverbs", "mmlu", "some.adverbs")
    assert benchmark.incomplete == ("missing: adverbs, mmlu, some.adverbs",)
    with pytest.raises(InputError, match="is not here") as error:
        load(suite({"mmlu": tasks["mmlu"]}), data=tmp_path)
    assert error.value.where == "--data"


def test_all_mistakes_of_its_tasks_are_reported_with_the_task(suite, write):
    path = suite(
        {
            "none": {"benchmark": "opposite"},
            "parts": {"benchmark": "./bench", "parts": ["colour"]},
            "way": {"benchmark": "mmlu:clozed"},
            "nested": {"benchmark": "./suite.yaml"},
        }
    )
    with pytest.raises(InputErrors) as errors:
        load(path)
    problems = {str(error.where).partition("suite.yaml: ")[2].partition(":")[0]: error.problem for error in errors.value.errors}  # fmt: skip
    assert problems == {
        "suite.none": "there is no such benchmark",
        "suite.parts": "shop has no such part",
        "suite.way": "mmlu has no such way or filter",
        "suite.nested": "a suite cannot be a task of a suite",
    }


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ({}, "nothing is there"),
        ({"macro": {"benchmark": "mmlu"}}, "not a name"),
        ({"a/b": {"benchmark": "mmlu"}}, "not a name"),
        ({"a": {"benchmark": "./bench", "low": 1.0}}, "also the one that counts as 1"),
        ({"a": {"benchmark": "mmlu", "limit": 0}}, "limit"),
        ({"a": {"part": "x"}}, "benchmark"),
    ],
)
def test_mistakes_of_its_fields_are_reported(suite, tasks, problem):
    with pytest.raises(InputError, match=problem):
        load(suite(tasks))


def test_ways_and_exemplars_are_fixed(suite):
    for name, shots in ((suite() + ":cloze", None), (suite(), 3)):
        with pytest.raises(InputError, match="are fixed"):
            load(name, shots=shots)


def test_bundled_suites_name_benchmarks_and_parts_that_are_there():
    suites = {name: spec for name in names() if isinstance(spec := describe(name), SuiteSpec)}
    assert "core" in suites
    for suite_spec in suites.values():
        for task in suite_spec.suite.values():
            member = describe(task.benchmark)
            if isinstance(member, RowsSpec):
                assert {*task.parts} <= {*member.parts}
            known = isinstance(member, BigBenchSpec)  # its tasks have chance as their low value
            assert known or task.low is not None


def test_a_suite_is_evaluated_like_a_benchmark(suite, tiny_model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suite()
    options = EvaluationOptions(model=str(tiny_model_folder), benchmarks=("./suite.yaml", "core"), limit=1)
    document = evaluate(options).document
    mine, core = document["benchmarks"]["shop-and-words"], document["benchmarks"]["core"]
    assert mine["primary"] == core["primary"] == "task_score"
    assert [*mine["parts"]] == ["opposites", "colours", "numbers", "opposites.nouns", "opposites.verbs"]
    assert mine["groups"] == ["opposites"]
    score = mine["scores"]["task_score"]
    assert score["low"] <= score["value"] <= score["high"]
    assert "missing_parts" not in mine
    assert {"causes", "similarities"} <= {*core["missing_parts"]}
    assert "knowledge" in core["parts"]
