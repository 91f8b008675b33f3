"""`answer: both` and `test_wordings: all`: generated answers and rank classification, in each wording, from one recipe."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tutelage.comparison import compare_runs
from tutelage.config import load
from tutelage.core.errors import InputError
from tutelage.job.run import run
from tutelage.metrics import Row, score_rows
from tutelage.prepare.reader import read_rows
from tutelage.results.store import Store
from tutelage.templates.library import load as load_kind

WORDINGS = [wording.name for wording in load_kind("paraphrase").of_group("wordings")]
TESTED, VALIDATED = 6, 5
BEST = "best on validation"


def pairs(word: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "first": f"{word} {n * 7919 % 1000} is ready.",
            "second": f"It is {word} {n * 31 % 100} of {n}.",
            "label": n % 2,
        }
        for n in range(count)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def recipe(tmp_path: Path, tiny_model_folder: Path) -> dict[str, Any]:
    """One task of pairs that is held out, and one of talk that is taught."""
    write(tmp_path / "pairs.jsonl", pairs("plan", 20))
    write(tmp_path / "talk.jsonl", [{"prompt": f"Say {n}.", "completion": f"{n}."} for n in range(20)])
    return {
        "model": str(tiny_model_folder),
        "tasks": [
            {
                "name": "same",
                "data": {"path": "pairs.jsonl"},
                "template": "paraphrase",
                "labels": ["no", "yes"],
                "cluster": "paraphrase",
                "answer": "both",
                "test_wordings": "all",
                "split": {"train": 6, "validation": VALIDATED, "test": TESTED},
                "metrics": ["accuracy", "rougeL"],
                "max_new_tokens": 3,
            },
            {
                "name": "talk",
                "data": {"path": "talk.jsonl"},
                "split": {"validation": 2, "test": 3},
                "max_new_tokens": 3,
            },
        ],
        "hold_out": ["paraphrase"],
        "tune": {"rank": 2, "epochs": 1, "batch_size": 4, "learning_rate": 0.01},
        "watch": [],
    }


def saved(folder: Path, recipe: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def test_both_ways_are_scored_in_each_wording_and_in_the_best_one(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    results = run(load(saved(tmp_path, recipe)), out=tmp_path / "out").results
    chosen_name = "same (rank classification)"
    assert set(results["tasks"]) == {"same", chosen_name, "talk"}
    with Store.open(tmp_path / "out" / "results.sqlite", read_only=True) as store:
        evaluations = {(each.model, each.suite, each.name): each for each in store.evaluations()}
        for name in ("same", chosen_name):
            outcome = results["tasks"][name]
            assert set(outcome["parts"]) == {*WORDINGS, BEST}
            best = {}
            for model in ("base", "tuned"):
                tested = right_by_wording(evaluations[model, "task", name])
                assert {wording: len(right) for wording, right in tested.items()} == dict.fromkeys(
                    WORDINGS, TESTED
                )
                means = {wording: np.mean(right) for wording, right in tested.items()}
                for wording, mean in means.items():
                    assert outcome["parts"][wording][model]["accuracy"]["value"] == pytest.approx(mean)
                # The mean over wordings, with rows, not answers, as what was drawn.
                whole = outcome[model]["accuracy"]
                assert whole["value"] == pytest.approx(np.mean([*means.values()]))
                assert outcome["difference"]["accuracy"]["units"] == TESTED
                validated = right_by_wording(evaluations[model, "validation", name])
                assert all(len(right) == VALIDATED for right in validated.values())
                best[model] = max(WORDINGS, key=lambda wording: np.mean(validated[wording]))
                part = outcome["parts"][BEST][model]["accuracy"]
                assert part["value"] == pytest.approx(means[best[model]])
                assert part["n"] == TESTED
            assert outcome["told"]["notes"] == [
                f"wordings that are {BEST}: {best['base']} (base), {best['tuned']} (tuned)"
            ]
        finish = {
            name: {each.finish for each in evaluations["base", "task", name].responses().values()}
            for name in ("same", chosen_name)
        }
        assert finish == {"same": finish["same"] - {"choice"}, chosen_name: {"choice"}}
    groups = results["groups"]
    cluster = "held out: paraphrase"
    assert {name: group["tasks"] for name, group in groups.items()} == {
        "taught": ["talk"],
        cluster: ["same"],
        f"{cluster}, {BEST}": ["same"],
        f"{cluster} (rank classification)": [chosen_name],
        f"{cluster} (rank classification), {BEST}": [chosen_name],
    }
    for group, part in ((cluster, None), (f"{cluster}, {BEST}", BEST)):
        outcome = results["tasks"]["same"]
        expected = (outcome["parts"][part] if part else outcome)["difference"]["accuracy"]
        assert groups[group]["difference"]["value"] == pytest.approx(expected["value"])
        assert groups[group]["difference"]["n"] == TESTED
    assert BEST in (tmp_path / "out" / "report.html").read_text("utf-8")
    # The two models' best wordings are paired by row, also from the stored results.
    other = {**recipe, "tune": {**recipe["tune"], "learning_rate": 0.1}}
    run(load(saved(tmp_path, other)), out=tmp_path / "other")
    (comparison,) = compare_runs(tmp_path / "out", tmp_path / "other")
    assert comparison.comparison.tasks["same"].parts[BEST].primary_difference.n == TESTED
    assert not comparison.left_out


def right_by_wording(evaluation: Any) -> dict[str, list[bool]]:
    """By wording, whether each answer is right by the metric accuracy."""
    answers, right = evaluation.responses(), defaultdict(list)
    for item in evaluation.items():
        scored = score_rows(["accuracy"], [Row(answers[item.id].text, item.references)])
        right[item.part].append(bool(scored["accuracy"].score.value))
    return right


def test_rows_of_a_second_run_come_from_the_cache_and_name_the_same_run(
    tmp_path: Path, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TUTELAGE_NO_CACHE", raising=False)
    path, notes = saved(tmp_path, recipe), []
    first, second = (read_rows(load(path), None, say=notes.append) for _ in range(2))
    assert notes == ["rows of 2 tasks from the cache"]
    for fresh, cached in zip(first.tasks, second.tasks, strict=True):
        assert {name: [*rows] for name, rows in fresh.in_all_wordings.items()} == {
            name: [*rows] for name, rows in cached.in_all_wordings.items()
        }
    assert first.identity == second.identity
    one = {**recipe, "tasks": [{**recipe["tasks"][0], "test_wordings": "one"}, recipe["tasks"][1]]}
    assert read_rows(load(saved(tmp_path, one)), None).identity != first.identity


def test_exemplars_have_the_wording_of_their_row(tmp_path: Path, recipe: dict[str, Any]) -> None:
    recipe["tasks"][0]["shots"] = {"count": 2}
    same = read_rows(load(saved(tmp_path, recipe)), None).tasks[0]
    tested = same.in_all_wordings["test"]
    assert len(tested) == TESTED * len(WORDINGS)
    alone = {row.template: row for row in tested if row.id == tested[0].id}
    assert len(alone) == len(WORDINGS)
    for template, row in alone.items():
        assert row.shots == 2
        opening = {
            "same-meaning": "1. ",
            "two-speakers": "Anna says",
            "pair-label": "paraphrase detection",
        }.get(template.partition("/")[2])
        if opening:
            assert all(turn[1].startswith(opening) for turn in row.history if turn[0] == "user")


def test_a_row_that_does_not_fit_leaves_all_wordings_or_is_an_error(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    rows = [
        {"question": f"What is {n}?", "choices": ["red", "blue"], "answer": ("red", "blue")[n % 2]}
        for n in range(20)
    ]
    rows[7]["choices"] = ["red " * 200, "blue"]
    write(tmp_path / "pairs.jsonl", rows)
    task = recipe["tasks"][0]
    del task["labels"]
    task |= {"template": "multiple-choice", "split": {"train": 2, "validation": 0, "test": 18}}
    recipe["tune"]["max_length"] = 512
    with pytest.raises(InputError) as caught:
        run(load(saved(tmp_path, recipe)), out=tmp_path / "out")
    assert "pairs.jsonl:8" in str(caught.value)
    task["data"]["on_bad_row"] = "drop"
    results = run(load(saved(tmp_path, recipe)), out=tmp_path / "out").results
    outcome = results["tasks"]["same"]
    assert {part["base"]["accuracy"]["n"] for part in outcome["parts"].values()} == {17}
    assert BEST not in outcome["parts"]  # without validation rows nothing chooses


@pytest.mark.parametrize(
    ("changes", "where", "fix"),
    [
        ({"template": "paraphrase/editor"}, "tasks.0.test_wordings", "template: paraphrase"),
        (
            {
                "template": None,
                "prompt": "{{ first }}",
                "completion": "{{ label }}",
                "answer": "generate",
                "labels": None,
            },
            "tasks.0",
            "remove test_wordings",
        ),
        (
            {"template": "question-answer", "answer": "generate", "labels": None},
            "tasks.0",
            "remove test_wordings",
        ),
        (
            {"template": None, "prompt": "{{ first }}", "completion": "{{ label }}", "labels": None},
            "tasks.0",
            "answer: both",
        ),
    ],
)
def test_what_cannot_be_asked_in_all_wordings_is_an_error(
    tmp_path: Path, recipe: dict[str, Any], changes: dict[str, Any], where: str, fix: str
) -> None:
    task = {**recipe["tasks"][0], **changes}
    recipe["tasks"][0] = {name: value for name, value in task.items() if value is not None}
    with pytest.raises(InputError) as caught:
        read_rows(load(saved(tmp_path, recipe)), None)
    assert where in str(caught.value)
    assert fix in str(caught.value)


def test_both_ways_are_tracked_in_all_wordings(
    tmp_path: Path, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "1")
    rows = 2
    items = rows * len(WORDINGS)
    track = {"every": 1, "items": items}
    curve = run(load(saved(tmp_path, {**recipe, "track": track})), out=tmp_path / "out").results["curve"]
    assert set(curve["tasks"]) == {"same", "same (rank classification)", "talk"}
    assert [curve["tasks"][name]["n"] for name in curve["tasks"]] == [items, items, 2]
    with Store.open(tmp_path / "out" / "results.sqlite", read_only=True) as store:
        # The base's answers in all wordings were there, and nothing of them was asked again.
        sizes = [
            len(each.items()) for each in store.evaluations(model="base", suite="validation", name="same")
        ]
        assert sizes == [VALIDATED * len(WORDINGS)]
        (step,) = store.evaluations(model="step 1", suite="validation", name="same")
        assert set(Counter(each.part for each in step.items()).values()) == {rows}
