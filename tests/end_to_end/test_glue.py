"""GLUE and SuperGLUE through the commands: the table, the export and the comparison say what a score is over."""

from __future__ import annotations

import json

import pytest

from byte_model import write_byte_model
from glue_layouts import write_glue, write_superglue
from tutelage.cli.main import main

MODEL = "bytes"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_byte_model(tmp_path / MODEL)
    write_superglue(tmp_path / "data" / "superglue")
    return tmp_path


def evaluated(out, *options):
    arguments = [
        "evaluate",
        f"./{MODEL}",
        "--benchmark",
        "superglue",
        "--data",
        "data",
        "--out",
        out,
        *options,
    ]
    assert main(arguments) == 0


def test_only_an_average_over_all_official_rows_bears_the_name_alone(place, capsys):
    evaluated("all")
    table = capsys.readouterr().out
    assert "superglue:lm-eval  " in table
    assert "incomplete" not in table
    (place / "data" / "superglue" / "WiC" / "val.jsonl").unlink()
    (place / "data" / "superglue" / "AX-g" / "AX-g.jsonl").unlink()
    evaluated("some", "--limit", "2")
    table = capsys.readouterr().out
    assert "superglue:lm-eval (incomplete, sample)" in table
    assert "not here, and in no average: wic" in table
    assert "diagnostic sets that are not here, and belong to no average: axg" in table
    assert "axb: Negation  " in table  # of one part, all of whose rows are here


def test_the_export_marks_the_average_and_names_phenomena_as_groups(place):
    evaluated("some", "--limit", "2")
    assert main(["export", "some", "--to", "exported", "--format", "lm-eval"]) == 0
    (path,) = (place / "exported").glob("results_*.json")
    document = json.loads(path.read_text("utf-8"))
    groups = {group["alias"]: group for group in document["groups"].values()}
    assert {"superglue:lm-eval (sample)", "axb: Negation"} <= set(groups)
    assert "task_score,none" in groups["superglue:lm-eval (sample)"]
    assert "mcc,none" in groups["axb: Negation"]


def test_scores_made_of_shares_are_named_where_only_some_items_are_common(place, capsys):
    evaluated("some", "--limit", "2")
    evaluated("all")
    capsys.readouterr()
    assert main(["compare", "some", "all"]) == 0
    table = capsys.readouterr().out
    assert "its score is the mean of their shares in F1, correlations and the like over all items" in table
    assert "without axb" in table
    assert main(["compare", "all", "all"]) == 0
    assert "their shares" not in capsys.readouterr().out


def test_a_comparison_marks_an_average_that_lacks_parts_on_either_side(place, capsys):
    evaluated("all")
    (place / "data" / "superglue" / "WiC" / "val.jsonl").unlink()
    evaluated("some")
    capsys.readouterr()
    for first, second, side in (("all", "some", "tuned"), ("some", "all", "base")):
        assert main(["compare", first, second]) == 0
        table = capsys.readouterr().out
        assert "superglue:lm-eval (incomplete)  " in table
        assert "superglue:lm-eval  " not in table
        assert "superglue:lm-eval, some: not here, and in no average: wic" in " ".join(table.split())
        assert main(["compare", first, second, "--json"]) == 0
        caveats = json.loads(capsys.readouterr().out)["caveats"]
        assert caveats == {"superglue:lm-eval": {side: {"missing_parts": ["wic"]}}}
    assert main(["compare", "all", "all"]) == 0
    assert "incomplete" not in capsys.readouterr().out


def test_a_submission_is_one_command(place, capsys):
    write_glue(place / "data" / "glue", test=True)
    assert (
        main(["submit", f"./{MODEL}", "--benchmark", "glue", "--data", "data", "--to", "sent", "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["predictions"]["MNLI-mm.tsv"] == 3
    assert len(document["predictions"]) == 11
    assert document["invalid"] == {}
    assert main(["submit", f"./{MODEL}", "--benchmark", "mmlu", "--data", "data", "--to", "other"]) == 2
    assert "no leaderboard takes predictions of this benchmark" in capsys.readouterr().err
    assert not (place / "other").exists()


def test_a_suite_is_tracked_over_a_training_by_a_sample_of_each_task(place):
    (place / "rows.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Say {n}.", "completion": f"{n}."}) + "\n" for n in range(20)), "utf-8"
    )
    recipe = {
        "model": f"./{MODEL}",
        "chat_template": "plain",
        "tasks": [{"name": "talk", "data": {"path": "rows.jsonl"}, "max_new_tokens": 4}],
        "tune": {"rank": 2, "steps": 4},
        "watch": [{"benchmark": "superglue"}],
        "track": {"at": [2], "items": 12},
    }
    (place / "recipe.json").write_text(json.dumps(recipe), "utf-8")
    assert main(["run", "recipe.json", "--data", "data", "--out", "out"]) == 0
    curve = json.loads((place / "out" / "results.json").read_text("utf-8"))["curve"]
    (line,) = curve["watched"].values()
    assert line["primary"] == "task_score"
    assert [point["step"] for point in line["points"]] == [0, 2, 4]
    assert all("gain" in point for point in line["points"][1:])
