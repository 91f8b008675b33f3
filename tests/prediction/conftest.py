"""One run of a second's training with tasks that are asked in every way, shared by the tests of predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.config import load
from tutelage.job.run import run as do
from tutelage.results.store import Store

WORDS = ["red", "blue", "green", "black", "white", "grey"]


def split_of(i: int) -> str:
    return "test" if i % 4 == 0 else "validation" if i % 4 == 1 else "train"


ROWS: dict[str, list[dict[str, Any]]] = {
    "colours": [
        {
            "question": f"What is the colour of plan {i}?",
            "answer": f"It is {WORDS[i % 6]}.",
            "split": split_of(i),
        }
        for i in range(16)
    ],
    "moods": [
        {"text": f"Plan {i} is {WORDS[i % 6]}, I am so sorry.", "label": i % 2, "split": split_of(i)}
        for i in range(16)
    ],
    "few": [
        {"first": f"Say {WORDS[i % 6]} {i}", "then": f"{WORDS[i % 6]}", "split": split_of(i)}
        for i in range(16)
    ],
    "chats": [
        {
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": f"Hello {i}"},
                {"role": "assistant", "content": f"How can I help you {i}?"},
                {"role": "user", "content": f"What is plan {i}?"},
                {"role": "assistant", "content": f"It costs {i} euros."},
            ],
            "split": split_of(i),
        }
        for i in range(16)
    ],
}
TASKS: list[dict[str, Any]] = [
    {"name": "colours", "prompt": "Answer: {{ question }}", "completion": "{{ answer }}"},
    {
        "name": "moods",
        "template": "sentiment",
        "labels": ["bad", "good"],
        "answer": "both",
        "metrics": ["accuracy"],
    },
    {
        "name": "few",
        "prompt": "{{ first }}",
        "completion": "{{ then }}",
        "shots": {"count": 2},
    },
    {"name": "chats"},
]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Path:
    """The folder of a finished run of all tasks; the rows and the recipe lie beside it. Read it, never write to it."""
    folder = tmp_path_factory.mktemp("predicted")
    for name, rows in ROWS.items():
        write_rows(folder / f"{name}.jsonl", rows)
    tasks = [
        {
            **task,
            "data": {"path": f"{task['name']}.jsonl"},
            "split": {"column": "split", "leaks": "allow"},
            "max_new_tokens": 6,
        }
        for task in TASKS
    ]
    recipe = {
        "model": str(tiny_model_folder),
        "tasks": tasks,
        "tune": {"rank": 2, "steps": 2, "batch_size": 4, "learning_rate": 0.02},
        "watch": [],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    do(load(folder / "recipe.yaml"), out=folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def stored(finished: Path) -> dict[str, list[tuple[str, Any]]]:
    """What the run's tuned model answered: by task, (item id, response) in the order of the test rows."""
    with Store.open(finished / "results.sqlite", read_only=True) as store:
        return {
            each.name: list(each.responses().items())
            for each in store.evaluations(model="tuned", suite="task")
        }
