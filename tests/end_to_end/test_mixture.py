"""Many tasks at once, from the recipe to the card and results.json: mixture, styles, held-out clusters, replay, files as tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.cli.main import main
from tutelage.config import load
from tutelage.core.errors import InputError
from tutelage.core.types import Prompted
from tutelage.prepare.reader import read_rows
from tutelage.prepare.task_rows import RecipeRows, TaskRows

COLOURS = ["red", "blue", "green", "black", "white", "grey"]
SPLIT = {"train": 12, "validation": 2, "test": 4}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def plain(word: str, count: int = 18) -> list[dict[str, Any]]:
    return [
        {
            "prompt": f"What is the colour of {word} {n * 7919 % 1000}?",
            "completion": f"It is {COLOURS[n % 6]}.",
        }
        for n in range(count)
    ]


def pairs(count: int = 18) -> list[dict[str, Any]]:
    return [
        {
            "first": f"Plan {n * 7919 % 1000} is {COLOURS[n % 6]}.",
            "second": f"{COLOURS[n % 6]} it is, number {n * 31 % 100}",
            "label": n % 2,
        }
        for n in range(count)
    ]


@pytest.fixture
def many(tmp_path: Path, tiny_model_folder: Path) -> Path:
    """Three files of questions as three tasks, one task of the library, one of general talk."""
    for word in ("imdb_a", "glue_qqp_b", "samsum_c"):
        write(tmp_path / "p3" / f"{word}.jsonl", plain(word))
    write(tmp_path / "pairs.jsonl", pairs())
    write(tmp_path / "talk.jsonl", plain("talk", 40))
    small = {"split": SPLIT, "max_new_tokens": 4, "metrics": ["exact_match", "rougeL"]}
    told = {
        "model": str(tiny_model_folder),
        "tasks": [
            {"name": "p3", "one_task_per": "file", "data": {"path": "p3/*.jsonl"}, **small},
            {
                "name": "same",
                "data": {"path": "pairs.jsonl"},
                "template": "paraphrase",
                "labels": ["no", "yes"],
                "cluster": "pairs",
                "styles": {"zero-shot": 1, "few-shot-options": 1},
                **small,
            },
            {"name": "talk", "data": {"path": "talk.jsonl"}, **small, "split": {**SPLIT, "train": 30}},
        ],
        "mixture": {
            "parts": {"t0": {"tasks": ["p3-*"], "rate_maximum": 10}, "own": {"tasks": ["same"], "cap": 6}},
            "weights": {"t0": 3, "own": 1},
        },
        "hold_out": ["paraphrase"],
        "replay": {"from": "talk", "share": 0.2, "repeat": True},
        "tune": {
            "rank": 2,
            "epochs": 9.0,
            "steps": 30,
            "batch_size": 4,
            "max_length": 256,
            "learning_rate": 0.01,
        },
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(told), "utf-8")
    return tmp_path


def change(folder: Path, **changes: Any) -> Path:
    path = folder / "recipe.yaml"
    told = {**yaml.safe_load(path.read_text("utf-8")), **changes}
    told = {key: value for key, value in told.items() if value is not None}
    path.write_text(json.dumps(told), "utf-8")
    return path


def test_a_run_over_many_tasks_says_what_was_seen_and_sums_up(many: Path) -> None:
    assert main(["run", str(many / "recipe.yaml"), "--out", str(many / "out")]) in (0, 1)
    card = json.loads((many / "out" / "data" / "card.json").read_text("utf-8"))
    asked, seen = card["mixture"]["shares"], card["training"]["tasks"]
    assert set(asked) == {"p3-imdb_a", "p3-glue_qqp_b", "p3-samsum_c", "same", "talk"}
    assert asked["p3-glue_qqp_b"] == 0  # held out: asked and not taught
    assert set(seen) == set(asked) - {"p3-glue_qqp_b"}
    assert card["tasks"]["p3-glue_qqp_b"]["splits"] == {"train": 0, "validation": 0, "test": 4}
    assert asked["p3-imdb_a"] == pytest.approx(asked["p3-samsum_c"])
    assert asked["p3-imdb_a"] + asked["p3-samsum_c"] == pytest.approx(3 * asked["same"])
    rows = {name: told["rows"] for name, told in seen.items()}
    assert sum(rows.values()) == 120 == card["training"]["rows_seen"]
    assert all(abs(rows[name] - 120 * asked[name]) <= 12 for name in rows)  # of a block of 1,000
    for name, told in seen.items():
        assert told["asked"] == asked[name]
        assert sum(one["tokens"] for one in told["styles"].values()) == told["tokens"]
        assert sum(one["rows"] for one in told["templates"].values()) == told["rows"]
    assert sum(told["tokens"] for told in seen.values()) == card["training"]["tokens_seen"]
    assert set(seen["same"]["styles"]) == {"zero-shot", "few-shot-options"}
    assert seen["same"]["most"] >= 3  # six rows of twelve, seen in turns
    share = seen["talk"]["tokens"] / card["training"]["tokens_seen"]
    assert card["mixture"]["replay"]["token_share"] == 0.2
    assert abs(share - 0.2) < 0.03  # 120 rows; the point of the issue is tested on thousands
    results = json.loads((many / "out" / "results.json").read_text("utf-8"))
    assert set(results["groups"]) == {"taught", "held out: paraphrase"}
    assert results["groups"]["held out: paraphrase"]["tasks"] == ["p3-glue_qqp_b"]
    assert results["groups"]["taught"]["difference"]["n"] == 16
    page = (many / "out" / "report.html").read_text("utf-8")
    assert "held out: paraphrase" in page
    assert "few-shot-options" in page


def test_a_training_too_short_to_see_every_task_has_its_report(many: Path) -> None:
    recipe = change(
        many, tune={"rank": 2, "steps": 1, "batch_size": 1, "max_length": 256}, replay=None, mixture=None
    )
    assert main(["run", str(recipe), "--out", str(many / "out")]) in (0, 1)
    seen = json.loads((many / "out" / "data" / "card.json").read_text("utf-8"))["training"]["tasks"]
    unseen = [task for task in seen.values() if not task["rows"]]
    assert len(unseen) == len(seen) - 1
    assert all(task["tokens"] == task["loss_tokens"] == task["most"] == 0 for task in unseen)
    assert (many / "out" / "report.html").is_file()


def test_rows_of_their_own_are_replayed_and_not_asked(many: Path) -> None:
    write(many / "general.jsonl", plain("general", 25))
    tasks = [
        task
        for task in yaml.safe_load((many / "recipe.yaml").read_text("utf-8"))["tasks"]
        if task["name"] != "talk"
    ]
    own = {"from": {"data": {"path": "general.jsonl"}}, "share": 0.25, "repeat": True}
    recipe = change(many, tasks=tasks, replay=own)
    assert main(["run", str(recipe), "--out", str(many / "out")]) in (0, 1)
    card = json.loads((many / "out" / "data" / "card.json").read_text("utf-8"))
    assert card["tasks"]["general"]["splits"] == {"train": 25, "validation": 0, "test": 0}
    assert card["mixture"]["replay"]["from"] == "general"
    share = card["training"]["tasks"]["general"]["tokens"] / card["training"]["tokens_seen"]
    assert abs(share - 0.25) < 0.03
    results = json.loads((many / "out" / "results.json").read_text("utf-8"))
    assert set(results["tasks"]) == {"p3-imdb_a", "p3-glue_qqp_b", "p3-samsum_c", "same"}
    assert results["groups"]["taught"]["tasks"] == ["p3-imdb_a", "p3-samsum_c", "same"]
    # The run's own recipe is the same again: nothing is left to do.
    kept = yaml.safe_load((many / "out" / "recipe.yaml").read_text("utf-8"))
    assert kept["replay"]["from"]["split"]["test"] == 0
    assert main(["inspect", str(recipe)]) == 0


def test_a_pool_that_is_asked_and_one_that_is_wrong(many: Path) -> None:
    write(many / "general.jsonl", plain("general", 25))
    asked = {"from": {"data": {"path": "general.jsonl"}, "split": SPLIT}, "share": 0.2, "repeat": True}
    general = of(read_rows(load(change(many, mixture=None, replay=asked)), None), "general")
    assert (len(general.train), len(general.test)) == (12, 4)
    seeded = {"from": {"data": {"path": "general.jsonl"}, "split": {"seed": 3}}, "share": 0.2}
    general = of(read_rows(load(change(many, replay=seeded)), None), "general")
    assert (len(general.train), len(general.validation), len(general.test)) == (25, 0, 0)
    for own, where in (
        ({"data": {"path": "genral.jsonl"}}, "genral.jsonl"),
        ({"data": {"path": "general.jsonl"}, "split": {"test": 1}}, "replay.from.split"),
        ({"data": {"path": "general.jsonl"}, "name": "same"}, "tasks"),
        ({"data": {"path": "general.jsonl"}, "one_task_per": "file"}, "replay"),
        ({"data": {"path": "general.jsonl"}, "promt": "x"}, "replay.from.promt"),
        ({"data": {"path": "general.jsonl"}, "source": "snli"}, "replay.from"),  # too near to paraphrase
        (
            {"data": {"path": "p3/glue_qqp_b.jsonl"}, "name": "g"},
            "replay.from",
        ),  # held out under another name
    ):
        with pytest.raises(InputError) as caught:
            read_rows(load(change(many, replay={"from": own})), None)
        assert where in (caught.value.where or ""), str(caught.value)


def of(rows: RecipeRows, name: str) -> TaskRows:
    return next(task for task in rows.tasks if task.task.name == name)


def test_forms_of_training_rows(many: Path) -> None:
    rows = of(read_rows(load(many / "recipe.yaml"), None), "same")
    few = [row for row in rows.train if row.shots]
    assert 0 < len(few) < len(rows.train)
    assert {row.style for row in rows.train} == {"zero-shot", "few-shot-options"}
    assert {row.style for row in rows.test} == {"zero-shot-options"}
    assert {row.source for row in rows.train} == {"same"}
    plans = {row.fields["first"] for row in rows.train}
    for row in few:
        asked = [text for role, text in row.history if role == "user"]
        assert len(asked) == row.shots <= 3
        frame = row.prompt.replace(str(row.fields["first"]), "A").replace(str(row.fields["second"]), "B")
        for text in asked:  # the same words around another training row
            (shown,) = [one for one in rows.train if str(one.fields["first"]) in text]
            assert shown.id != row.id
            assert shown.fields["first"] in plans
            assert (
                text.replace(str(shown.fields["first"]), "A").replace(str(shown.fields["second"]), "B")
                == frame
            )


def test_a_held_out_task_under_another_cluster_is_refused(many: Path) -> None:
    write(many / "more" / "glue_qqp_d.jsonl", plain("other"))
    told = yaml.safe_load((many / "recipe.yaml").read_text("utf-8"))
    told["tasks"].append(
        {
            "name": "more",
            "data": {"path": "more/glue_qqp_d.jsonl"},
            "source": "glue_qqp",
            "cluster": "own",
            "split": SPLIT,
        }
    )
    with pytest.raises(InputError, match="a held-out task is in training"):
        read_rows(load(change(many, tasks=told["tasks"])), None)


def test_neighbours_of_a_held_out_cluster_leave_the_recipe(many: Path) -> None:
    write(many / "p3" / "anli_e.jsonl", plain("anli"))
    rows = read_rows(load(many / "recipe.yaml"), None)
    assert rows.excluded == (("p3-anli_e", "language-inference"),)
    assert "p3-anli_e" not in {task.task.name for task in rows.tasks}


@pytest.mark.parametrize(
    ("changes", "problem", "where"),
    [
        ({"hold_out": ["paraphrases"]}, "no task belongs to the cluster", "hold_out.0"),
        ({"mixture": {"tasks": ["p3-*", "talk"]}}, "a task is in no part", "mixture"),
        ({"mixture": {"tasks": ["p3-*", "sane"]}}, "names a task that is not there", "mixture.tasks.1"),
        (
            {"mixture": {"tasks": ["*"], "parts": {"t": {"tasks": ["same"]}}}},
            "in two parts",
            "mixture.parts.t.tasks.0",
        ),
        (
            {"mixture": {"tasks": ["*"], "weights": {"same": 1}}},
            "some parts have a weight",
            "mixture.weights",
        ),
        ({"replay": {"from": "tolk", "share": 0.1}}, "can be replayed", "replay.from"),
        ({"replay": {"from": "talk", "share": 0.9}}, "pool is too small", "replay"),
    ],
)
def test_mistakes_of_a_mixture_are_told(
    many: Path, changes: dict[str, Any], problem: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(many, **changes)
    assert main(["run", str(many / "recipe.yaml"), "--out", str(many / "out")]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert f"{where}:" in told
    assert not (many / "out").exists()


def test_a_preset_brings_weights_and_styles(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = {"preset": "flan2022", "parts": {"t0": {"tasks": ["p3-*"]}, "flan2021": {"tasks": ["same"]}}}
    told = yaml.safe_load((many / "recipe.yaml").read_text("utf-8"))["tasks"]
    told[1].pop("styles")
    change(many, mixture=preset, hold_out=None, tasks=told)
    assert main(["run", str(many / "recipe.yaml"), "--out", str(many / "out"), "--set", "tune.steps=5"]) in (
        0,
        1,
    )
    said = capsys.readouterr().err
    assert "niv2, cot and dialog are not in this recipe" in said
    shares = json.loads((many / "out" / "data" / "card.json").read_text("utf-8"))["mixture"]["shares"]
    t0 = sum(share for name, share in shares.items() if name.startswith("p3-"))
    assert shares["same"] / t0 == pytest.approx(0.40 / 0.32)
    rows = of(read_rows(load(many / "recipe.yaml"), None), "same")
    assert len({row.style for row in rows.train}) >= 3


def test_a_row_under_another_template_of_its_source_is_not_trained_on(many: Path) -> None:
    said = [
        {
            "text": f"the very long story of the {n * 7919 % 1000} old men who went to sea",
            "answer": COLOURS[n % 6],
        }
        for n in range(24)
    ]
    for name, words in (
        ("rte_one", "Read this: {}. Colour?"),
        ("rte_two", "{} - so which colour is it then?"),
    ):
        rows = [{"prompt": words.format(one["text"]), "completion": one["answer"]} for one in said]
        write(many / "rte" / f"{name}.jsonl", rows)
    tasks = [
        {
            "name": "rte",
            "one_task_per": "file",
            "data": {"path": "rte/*.jsonl"},
            "split": {**SPLIT, "seed": 0},
        },
    ]
    change(many, tasks=tasks, mixture=None, hold_out=None, replay=None)
    rows = read_rows(load(many / "recipe.yaml"), None)
    assert [task.task.source for task in rows.tasks] == ["rte", "rte"]

    def stories(part: tuple[Prompted, ...]) -> set[str]:
        return {row.prompt.partition("of the ")[2].partition(" old")[0] for row in part}

    one, two = rows.tasks
    assert not stories(one.train) & stories(two.test)
    assert not stories(two.train) & stories(one.test)
    assert (
        one.card["shared"] == SPLIT["train"] + SPLIT["validation"] - len(one.train) - len(one.validation) > 0
    )


def test_files_under_the_data_folder_need_no_hub(many: Path) -> None:
    tasks = [
        {
            "name": "p3",
            "one_task_per": "file",
            "data": {"local": ["p3/imdb_a.jsonl", "p3/samsum*.jsonl"]},
            "split": SPLIT,
        }
    ]
    path = change(many, tasks=tasks, mixture=None, hold_out=None, replay=None)
    rows = read_rows(load(path), many)
    assert [(task.task.name, task.task.source) for task in rows.tasks] == [
        ("p3-imdb_a", "imdb"),
        ("p3-samsum_c", "samsum"),
    ]
    assert rows.tasks[0].card["source"]["kind"] == "local"
    with pytest.raises(InputError, match="under the data folder, and none is named"):
        read_rows(load(path), None)


def test_a_held_out_task_shows_exemplars_of_its_own_rows_and_trains_on_none(many: Path) -> None:
    told = yaml.safe_load((many / "recipe.yaml").read_text("utf-8"))["tasks"]
    told[0]["shots"] = {"count": 2}
    task = of(read_rows(load(change(many, tasks=told)), None), "p3-glue_qqp_b")
    assert (task.train, task.validation) == ((), ())
    assert task.card["splits"] == {"train": 0, "validation": 0, "test": 4}
    asked = {row.prompt for row in task.test}
    for row in task.test:
        assert row.shots == 2
        assert not asked & {text for role, text in row.history if role == "user"}


def test_a_preset_turns_rows_around_where_the_kind_can_and_nothing_else_is_said(many: Path) -> None:
    told = yaml.safe_load((many / "recipe.yaml").read_text("utf-8"))["tasks"]
    told[1].pop("styles")
    parts = {"cot": {"tasks": ["p3-*"]}, "dialog": {"tasks": ["same"]}}
    path = change(many, mixture={"preset": "flan2022", "parts": parts}, hold_out=None, tasks=told)
    rows = read_rows(load(path), None)
    task = of(rows, "same").task
    assert task.inverted == pytest.approx(0.3 / 1.3)
    assert {row.group for row in of(rows, "same").train} == {"wordings", "inverted"}
    assert {row.group for row in of(rows, "same").test} == {"wordings"}
    assert of(rows, "p3-imdb_a").task.inverted == 0  # its own words cannot be turned around
    told[1]["inverted"] = 0.0
    assert of(read_rows(load(change(many, tasks=told)), None), "same").task.inverted == 0


def test_mistakes_of_names_are_told_before_a_file_is_read(many: Path) -> None:
    (many / "talk.jsonl").write_text("no json\n")
    path = change(many, mixture={"tasks": ["p3-*", "sane"]})
    with pytest.raises(InputError) as caught:
        read_rows(load(path), None)
    assert "the mixture names a task that is not there" in str(caught.value)
    assert "a task is in no part of the mixture" in str(caught.value)


def test_inspect_counts_an_epoch_as_the_mixture_has_it(
    many: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(many / "recipe.yaml"), "--rows", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    tasks = found["tasks"]
    assert tasks["p3-glue_qqp_b"]["rows_per_epoch"] == tasks["p3-glue_qqp_b"]["tokens_per_epoch"] == 0
    assert found["rows_per_epoch"] == sum(one["rows_per_epoch"] for one in tasks.values())
    assert tasks["same"]["rows_per_epoch"] * 3 == pytest.approx(
        tasks["p3-imdb_a"]["rows_per_epoch"] + tasks["p3-samsum_c"]["rows_per_epoch"], abs=3
    )
    assert tasks["talk"]["tokens_per_epoch"] == pytest.approx(0.2 * found["tokens_per_epoch"], rel=0.05)
    assert main(["inspect", str(many / "recipe.yaml"), "--rows", "0"]) == 0
    assert "none of its rows: the task is held out" in capsys.readouterr().out
