from __future__ import annotations

import contextlib
import json

import pytest

from tutelage.cli.main import main


@pytest.fixture
def files(tmp_path):
    rows = [{"prediction": f"word {i}", "references": [f"word {i % 3}"], "task": "t"} for i in range(9)]
    other = [{**row, "prediction": "word 1"} for row in rows]
    for name, held in {"a.jsonl": rows, "b.jsonl": other}.items():
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in held), "utf-8")
    (tmp_path / "p.txt").write_text("one two\nthree\n", "utf-8")
    (tmp_path / "r.txt").write_text("one two\nfour\n", "utf-8")
    return tmp_path


def test_a_table_for_people_with_intervals_and_signatures(files, capsys):
    assert main(["score", "rouge1,accuracy", str(files / "a.jsonl"), "--per-item"]) == 0
    said = capsys.readouterr().out
    assert "95 % interval" in said
    assert "signature: accuracy|version:" in said
    assert "33.33" in said
    assert sum(line.split()[:1] == ["9"] for line in said.splitlines()) == 1


def test_one_document_for_programs(files, capsys):
    words = ["score", "rouge,bleu", str(files / "a.jsonl"), "--against", str(files / "b.jsonl"), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["scores"]) == ["rouge1", "rouge2", "rougeL", "rougeLsum", "bleu"]
    assert found["by_task"]["t"]["bleu"]["n"] == 9
    assert found["difference"]["rouge1"]["p_adjusted"] >= found["difference"]["rouge1"]["p"]
    assert "items" not in found
    assert main([*words, "--per-item"]) == 0
    assert len(json.loads(capsys.readouterr().out)["items"]) == 9


def test_a_difference_says_its_test_and_what_could_have_been_found(files, capsys):
    assert main(["score", "accuracy", str(files / "a.jsonl"), "--against", str(files / "b.jsonl")]) == 0
    said = capsys.readouterr().out
    assert "p of accuracy: McNemar exact" in said
    assert "detectable" in said


def test_text_files(files, capsys):
    words = ["score", "accuracy", "--predictions", str(files / "p.txt"), "--references", str(files / "r.txt")]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["accuracy"]["value"] == 0.5
    assert main([*words, "--against", str(files / "r.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"]["accuracy"]["value"] == -0.5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rouge"], "name a .jsonl file behind the metrics"),
        (["rouge", "a.jsonl", "--references", "r.txt"], "remove one of them"),
        (["rouge", "--references", "r.txt"], "only --references"),
        (["rouge", "--predictions", "p.txt"], "only --predictions"),
        (["rogue", "a.jsonl"], "did you mean rouge?"),
        (["rouge1:stemer=false", "a.jsonl"], "did you mean stemmer?"),
        (["rouge", "gone.jsonl"], "not there"),
        (["rouge", "p.txt"], "p.txt:1"),
        (["pearson", "a.jsonl"], "a.jsonl:1"),
        ([",", "a.jsonl"], "no metric"),
    ],
)
def test_what_is_wrong_is_said(files, monkeypatch, capsys, words, says):
    monkeypatch.chdir(files)
    assert main(["score", *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "recognised", "command"),
    [
        ("a.jsonl rougeL", "a.jsonl (a file), rougeL (a metric's name)", "rougeL a.jsonl"),
        ("a.jsonl f1:average=micro,mcc", "mcc (a metric's name)", "f1:average=micro,mcc a.jsonl"),
        ("gone.jsonl bleu", "gone.jsonl (a file)", "bleu gone.jsonl"),
        ("a.jsonl", "a.jsonl (a file)", "rougeL a.jsonl"),
        ("a.jsonl b.jsonl", "b.jsonl (a file)", "rougeL a.jsonl --against b.jsonl"),
        ("f1 a.jsonl b.jsonl", "f1 (a metric's name)", "f1 a.jsonl --against b.jsonl"),
        ("rogue a.jsonl b.jsonl", "rogue (not known)", "rogue a.jsonl --against b.jsonl"),
        ("rougeL bleu a.jsonl", "bleu (a metric's name)", "rougeL,bleu a.jsonl"),
        ("rougeL bleu", "bleu (a metric's name)", "rougeL,bleu FILE"),
        ("f1 a.jsonl --against mcc", "--against mcc (a metric's name)", "f1,mcc a.jsonl --against FILE"),
        ("f1 a.jsonl target", "target (a field, which is read without being named)", "f1 a.jsonl"),
        ("prediction a.jsonl", "prediction (a field", "rougeL a.jsonl"),
        (
            "p.txt --predictions p.txt --references bleu",
            "--references bleu (a metric's name)",
            "bleu --predictions p.txt --references FILE",
        ),
    ],
)
def test_a_metric_a_file_or_a_field_in_another_place_is_recognised(files, capsys, words, recognised, command):
    with contextlib.chdir(files):
        assert main(["score", *words.split()]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "the metrics come first, joined by commas, then one file" in error
    assert recognised in error
    assert error.endswith(f"`tutelage score {command}`")


def test_files_and_folders_may_be_called_as_metrics_are(files, monkeypatch):
    monkeypatch.chdir(files)
    (files / "bleu").write_text((files / "a.jsonl").read_text("utf-8"), "utf-8")
    (files / "rouge").mkdir()
    assert main(["score", "rouge", "a.jsonl", "--against", "b.jsonl"]) == 0
    assert main(["score", "accuracy", "bleu"]) == 0
    assert main(["score", ",".join(["accuracy", "rouge1:stemmer=false"] * 20), "a.jsonl"]) == 0


def test_explain_shows_the_lowest_rows_in_the_terminal_as_json_and_as_a_page(files, capsys):
    page = files / "why.html"
    words = ["score", "rouge1,bleu", str(files / "a.jsonl"), "--explain", "--rows", "2", "--html", str(page)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "All 9 rows together, bleu" in said
    assert said.count(", rouge1 = ") == 2
    assert "Content-Security-Policy" in page.read_text("utf-8")
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["explained"]
    of_rows = [one for one in found if one["line"] is not None and one["metric"] == "rouge1"]
    assert [one["value"] for one in of_rows] == [0.5, 0.5]


def test_a_metric_without_an_explanation_is_refused_before_the_file_is_read(files, capsys):
    assert main(["score", "mcc", str(files / "gone.jsonl"), "--explain"]) == 2
    assert "rouge1" in capsys.readouterr().err
