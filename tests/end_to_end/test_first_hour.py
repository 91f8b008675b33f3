"""docs/first-hour.md on a tiny model: ten files of ten shapes, each through init, inspect, run, predict and chat without an edit."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from tutelage.cli.main import main

from .first_hour_files import FILES

PAGE = (Path(__file__).parents[2] / "docs" / "first-hour.md").read_text("utf-8")
LEARNED = {
    "export.csv": "comes tomorrow.",
    "chats.jsonl": "We have found a red",
    "tickets.csv": "billing",
    "pairs.jsonl": "is a useful thing.",
    "fragen.csv": "ist da.",
    "frame.parquet": "kilograms.",
    "hindi.jsonl": "घर में है",
    "functions.jsonl": "def count(items):",
    "all.json": "is sold.",
    "entities.tsv": "PER: Anna",
}
"""What only the answers of a file hold: it must stand in a completion."""


def tutelage(*words: str) -> int:
    """Run a command in this process; its exit code."""
    try:
        return main([*words]) or 0
    except SystemExit as stop:
        return int(stop.code or 0)


def test_the_page_shows_each_file():
    assert all(f"`{name}`" in PAGE for name in FILES)
    assert set(LEARNED) == set(FILES)


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_a_file_becomes_a_model_without_an_edit(name, tmp_path, monkeypatch, capsys, tiny_model_folder):
    monkeypatch.chdir(tmp_path)
    FILES[name](tmp_path / name)
    recipe = tmp_path / "recipe.yaml"
    assert tutelage("init", name, "--out", recipe.name) == 0
    model = f"model={tiny_model_folder}"
    assert tutelage("inspect", recipe.name, "--set", model, "--rows", "100") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("completion") and LEARNED[name] in line for line in lines)
    small = ["--set", model, "--set", "tune.steps=2", "--set", "watch=[]", "--out", "run"]
    assert tutelage("run", recipe.name, *small) in (0, 1)
    results = json.loads((tmp_path / "run" / "results.json").read_text("utf-8"))
    (task,) = results["tasks"]
    assert task == yaml.safe_load(recipe.read_text("utf-8"))["tasks"][0]["name"]
    assert tutelage("predict", "run", name, "--out", "answers.jsonl", "--max-new-tokens", "4") == 0
    answers = (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()
    assert len(answers) >= 20
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Where is it?\n")))
    assert tutelage("chat", "run", "--max-new-tokens", "4") == 0
