"""Where a run's files are."""

from __future__ import annotations

import ast
from pathlib import Path

import tutelage
from tutelage.results import run_folder
from tutelage.results.run_folder import RunFolder

SOURCE = Path(tutelage.__file__).parent
NAMES = {
    "recipe.yaml", "card.json", "diagnosis.json", "diagnosis.sqlite", "results.json", "evaluation.json", "results.sqlite", "tuned.json",
    "curve.json", "report.html",
}  # fmt: skip


def test_the_names_of_a_runs_files_are_written_in_one_module():
    constants = {
        (path.relative_to(SOURCE).as_posix(), node.value)
        for path in SOURCE.rglob("*.py")
        if path != Path(run_folder.__file__)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in NAMES
    }
    assert constants == {("prepare/rows_cache.py", "card.json")}  # of another folder, in the cache


def test_runs_of_older_versions_are_where_they_were(tmp_path):
    folder = RunFolder(tmp_path)
    names = {
        name: path.relative_to(tmp_path).as_posix() for name, path in vars(folder).items() if name != "path"
    }
    assert names == {
        "recipe": "recipe.yaml",
        "card": "data/card.json",
        "results": "results.json",
        "evaluation": "evaluation.json",
        "store": "results.sqlite",
        "model": "model",
        "tuned": "tuned.json",
        "unscaled": "unscaled",
        "start": "start",
        "start_record": "start.json",
        "candidate": "candidate",
        "curve": "curve.json",
        "instant": "instant",
        "log": "log.jsonl",
        "merged": "merged",
        "merged_record": "merged.json",
        "self_replay": "data/self_replay.jsonl",
        "checkpoints": "checkpoints",
        "report": "report.html",
        "diagnosis": "diagnosis.json",
        "diagnosis_store": "diagnosis.sqlite",
        "realigned": "realigned",
        "lock": ".lock",
    }
