"""A run over conversations: training, questions, results and card all hold the whole conversation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tutelage.cli.main import main
from tutelage.config import load
from tutelage.prepare.reader import read_rows
from tutelage.results.store import Store

COLOURS = ["red", "blue", "green", "black", "white", "grey"]


@pytest.fixture
def talk(job: Path) -> Path:
    """The job with conversations of two exchanges each instead of questions, one of them broken."""
    rows = [
        {
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": f"Hello, I have plan {i}."},
                {"role": "assistant", "content": "How can I help you?"},
                {"role": "user", "content": "What is its colour?"},
                {"role": "assistant", "content": f"It is {COLOURS[i % 6]}."},
            ]
        }
        for i in range(12)
    ]
    rows[5]["messages"][4] = {"role": "assistant", "content": None, "tool_calls": [{"name": "colour"}]}
    (job / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    task = recipe["tasks"][0]
    for name in ("prompt", "completion"):
        del task[name]
    task["split"] = {"train": 0.5, "validation": 0.25, "test": 0.25}
    task["data"]["on_bad_row"] = "drop"
    recipe["tune"]["epochs"] = 1
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    return job


def test_the_whole_conversation_is_trained_asked_and_kept(talk: Path, capsys: pytest.CaptureFixture[str]):
    out = talk / "out"
    assert main(["run", str(talk / "recipe.yaml"), "--out", str(out), "--json"]) in (0, 1)
    capsys.readouterr()
    card = json.loads((out / "data" / "card.json").read_text("utf-8"))["tasks"]["colours"]
    assert card["source"]["layout"] == "messages"
    assert card["rows"] == 22
    (dropped,) = card["dropped"]
    assert dropped["where"].endswith("rows.jsonl:6")
    assert "tool calls" in dropped["why"]
    assert "system\nBe short." in card["examples"][0]["text"]
    with Store.open(out / "results.sqlite") as store:
        evaluations = [e for e in store.evaluations() if e.suite == "task"]
        assert {e.model for e in evaluations} == {"base", "tuned"}
        prompts = [item.prompt for item in evaluations[0].items()]
    second = next(prompt for prompt in prompts if prompt.endswith("User: What is its colour?"))
    assert second.startswith("Be short.\n\nUser: Hello, I have plan ")
    assert "\n\nAssistant: How can I help you?\n\n" in second


def test_the_turns_of_one_conversation_stay_together(talk: Path):
    (task,) = read_rows(load(talk / "recipe.yaml"), None).tasks
    lines = [{row.origin.line for row in part} for part in (task.train, task.validation, task.test)]
    assert all(lines)
    assert not (lines[0] & lines[1] | lines[0] & lines[2] | lines[1] & lines[2])
    assert all(
        len(part) == 2 * len(own)
        for part, own in zip((task.train, task.validation, task.test), lines, strict=True)
    )


def test_bad_rows_of_the_template_are_dropped_too(talk: Path):
    rows = [{"question": f"q{i}", "answer": " " if i == 3 else f"a{i}"} for i in range(12)]
    (talk / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (task,) = read_rows(load(talk / "recipe.yaml"), None).tasks
    (dropped,) = task.card["dropped"]
    assert dropped["where"].endswith("rows.jsonl:4")
    assert "the completion is empty" in dropped["why"]
    assert task.card["rows"] == 11
