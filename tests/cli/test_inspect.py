"""`tutelage inspect`: what a terminal, a pipe, a program and a page are given."""

from __future__ import annotations

import io
import json
import re

import pytest
import yaml

from tutelage.cli.main import main

COLOURS = ("red", "blue", "green", "black", "white")
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202eevil \N{GRINNING FACE}\tend"


@pytest.fixture
def recipe(tmp_path, tiny_model_folder):
    rows = [
        {
            "question": f"What is the colour of plan {n}?",
            "answer": f"Plan {n} is {COLOURS[n % 5]}.",
            "split": split,
        }
        for n, split in enumerate(["train"] * 9 + ["test"] * 3 + ["validation"])
    ]
    rows[8]["question"] = HOSTILE
    rows[2]["question"] = "A long one: " + "plan 12, " * 60
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    told = {
        "model": str(tiny_model_folder),
        "tasks": [
            {
                "name": "colours",
                "data": {"path": "rows.jsonl"},
                "prompt": "{{ question }}",
                "completion": "{{ answer }}",
                "split": {"column": "split"},
                "max_new_tokens": 48,
                "metrics": ["exact_match"],
            }
        ],
        "tune": {"max_length": 128},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(told), "utf-8")
    return path


@pytest.fixture(autouse=True)
def no_colours_of_this_terminal(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TUTELAGE_DATA"):
        monkeypatch.delenv(name, raising=False)


def test_what_a_pipe_is_given(recipe, capsys):
    assert main(["inspect", str(recipe), "--rows", "1"]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert "splits      train 9, validation 1, test 3" in lines
    assert "prompt      {{ question }}" in lines
    assert "leaks       no test row is in training" in lines
    assert any(line.split()[:2] == ["train", "prompt"] for line in lines)
    (learned,) = [line for line in lines if line.startswith("learned ")]
    assert learned.endswith("[.][<|im_end|>]")
    assert learned.split()[1].replace("[", "").replace("]", "") == "Plan·0·is·red.<|im_end|>"
    (read,) = [line for line in lines if line.startswith("read ")]
    assert read.startswith("read        <|im_start|>│")
    assert "[" not in read
    assert read.endswith("↵")
    assert "warning: Many prompts are cut" in lines
    assert "\x1b" not in said


def test_a_terminal_with_colours_has_no_brackets(recipe, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert main(["inspect", str(recipe), "--rows", "1"]) == 0
    said = capsys.readouterr().out
    assert "\x1b[1;32mPlan\x1b[0m" in said or "\x1b[1;32mP" in said
    assert "\x1b[1;35m<|im_end|>\x1b[0m" in said
    assert "[<|im_end|>]" not in said
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["inspect", str(recipe), "--rows", "1"]) == 0
    said = capsys.readouterr().out
    assert "[<|im_end|>]" in said
    assert "\x1b[32m" not in said


def test_texts_of_data_cannot_speak_to_the_terminal(recipe, capsys):
    assert main(["inspect", str(recipe), "--row", "rows.jsonl:9"]) == 0
    said = capsys.readouterr().out
    assert not any(char in said for char in "\x1b\x07\u202e")
    assert "<U+001B>" in said
    assert "⇥" in said
    assert "<0xF0>│<0x9F>│<0x98>│<0x80>" in said
    assert "\ufffd" not in said


def test_a_stream_that_cannot_write_the_signs_gets_plain_ones(recipe, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    assert main(["inspect", str(recipe), "--rows", "1"]) == 0
    stream.flush()
    said = stream.buffer.getvalue().decode("ascii")
    (learned,) = [line for line in said.splitlines() if line.startswith("learned ")]
    assert learned.split()[1].replace("[", "").replace("]", "") == "Plan_0_is_red.<|im_end|>"
    assert any(
        line.startswith("read        <|im_start|>|") and line.endswith("\\n") for line in said.splitlines()
    )


def test_what_truncation_cut_is_shown(recipe, capsys):
    assert main(["inspect", str(recipe), "--row", "rows.jsonl:3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("cut "))
    assert "tokens at the end of the field question" in lines[at]
    assert re.fullmatch(r" {12}\S.*plan 12, plan 12.* \.\.\. .*plan 12, \([\d,]+ characters\)", lines[at + 1])


def test_a_test_row_is_read_and_not_learned(recipe, capsys):
    assert main(["inspect", str(recipe), "--split", "test", "--rows", "1", "--look-at-test"]) == 0
    said = capsys.readouterr().out
    assert "colours rows.jsonl:10 (test) " in said
    assert "\nlearned " not in said


def test_a_test_row_needs_a_flag_before_the_tuning_has_ended(recipe, capsys):
    for words in (["--split", "test"], ["--row", "rows.jsonl:10"]):
        assert main(["inspect", str(recipe), *words]) == 2
        assert "test rows are not shown before the tuning has ended" in capsys.readouterr().err
    assert not (recipe.parent / "runs").exists()


def test_lines_are_no_wider_than_the_terminal(recipe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["inspect", str(recipe), "--row", "rows.jsonl:3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("read "))
    end = next(n for n, line in enumerate(lines) if line.startswith("learned "))
    assert end - start > 5
    assert max(map(len, lines[start:end])) <= 60


def test_one_document_for_programs(recipe, capsys):
    assert main(["inspect", str(recipe), "--json", "--rows", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == 1
    task = told["tasks"]["colours"]
    assert {"splits", "tokens", "repeated", "leaks", "template", "prompt", "completion", "rows"} <= set(task)
    assert told["tokens_per_epoch"] == task["tokens"]["train"]["tokens"]
    row = task["rows"][0]
    wanted = {"id", "origin", "split", "text", "prompt", "completion", "tokens", "mask", "dropped"}
    assert wanted <= set(row)
    assert "".join(token for token, learned in zip(row["tokens"], row["mask"], strict=True) if learned) == (
        row["completion"] + "<|im_end|>"
    )
    (warning,) = told["warnings"]
    assert {"what", "where", "found", "expected", "fix"} <= set(warning)
    assert task["rows"][-1]["dropped"] > 0


def test_the_page(recipe, tmp_path, capsys):
    page = tmp_path / "new" / "page.html"
    assert main(["inspect", str(recipe), "--html", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"page: {page}\n")
    text = page.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "One thing looks wrong" in text
    assert "Plan" in text


def test_settings_on_the_command_line_count(recipe, capsys):
    assert main(["inspect", str(recipe), "--set", "tune.max_length=512", "--json", "--rows", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["max_length"], told["warnings"]) == (512, [])
    assert told["tasks"]["colours"]["rows"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--row", "rows.jsonl:99"], "did you mean rows.jsonl:9"),
        (["--rows", "-1"], "--rows"),
        (["--split", "dev"], "--split"),
        (["--set", "tune.max_lenght=3"], "max_length"),
    ],
    ids=["row", "rows", "split", "set"],
)
def test_wrong_words_are_exit_code_2(recipe, capsys, words, said):
    assert main(["inspect", str(recipe), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_recipe_that_is_not_there_is_exit_code_2(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "gone.yaml")]) == 2
    assert "gone.yaml" in capsys.readouterr().err


def test_an_encoder_decoder_model(recipe, tiny_t5_folder, capsys):
    assert main(["inspect", str(recipe), "--rows", "1", "--set", f"model={tiny_t5_folder}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("encoder     ") for line in lines)
    assert any(line.startswith("learned     [P") and line.endswith("[</s>]") for line in lines)
    assert any(line.startswith("template    none;") for line in lines)
