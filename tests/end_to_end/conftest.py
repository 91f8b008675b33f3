"""A whole job on a model of two layers: seconds instead of minutes, the same code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

COLOURS = ["red", "blue", "green", "black", "white", "grey"]


@pytest.fixture
def job(tmp_path: Path, tiny_model_folder: Path) -> Path:
    """A folder with recipe.yaml and rows.jsonl; the recipe takes a few seconds."""
    rows = [
        {
            "question": f"What is the colour of plan {i}?",
            "answer": f"Plan {i} is {COLOURS[i % 6]}.",
            "split": "test" if i % 4 == 0 else "validation" if i % 4 == 1 else "train",
        }
        for i in range(24)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    recipe = {
        "model": str(tiny_model_folder),
        "tasks": [
            {
                "name": "colours",
                "data": {"path": "rows.jsonl"},
                "prompt": "{{ question }}",
                "completion": "{{ answer }}",
                "split": {"column": "split"},
                "metrics": ["rougeL", "exact_match"],
                "max_new_tokens": 8,
            }
        ],
        "tune": {"rank": 4, "epochs": 4, "batch_size": 4, "checkpoint_every": 2, "learning_rate": 0.01},
        "watch": [{"benchmark": "general-probe", "limit": 2}],
        "retain": {"general-probe": 50.0},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return tmp_path
