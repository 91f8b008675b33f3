from __future__ import annotations

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
    assert "0.3333" in said
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
