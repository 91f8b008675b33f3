from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from tutelage.config import load
from tutelage.core.errors import InputError, InputErrors
from tutelage.inspection.train_use_parity import check_parity
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare.preparation import prepare
from tutelage.prepare.reader import read_rows


@pytest.fixture
def ready(tmp_path, tiny_model_folder):
    """A recipe of 20 rows, read and encoded."""
    rows = [{"prompt": f"what is {n}?", "completion": f"it is {n}"} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = {"model": str(tiny_model_folder), "tasks": [{"data": {"path": "rows.jsonl"}}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(told))
    recipe = load(tmp_path / "recipe.yaml")
    words = load_tokenizer(resolve(str(tiny_model_folder)))
    return recipe, prepare(recipe, read_rows(recipe, None), words), words


def spoiled(prepared, change):
    tasks = (replace(task, train=tuple(change(row) for row in task.train)) for task in prepared.tasks)
    return replace(prepared, tasks=tuple(tasks))


def test_rows_as_they_should_be_pass(ready):
    check_parity(*ready, say=pytest.fail)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda row: replace(row, ids=row.ids[:-1], loss_mask=row.loss_mask[:-1]),
            "end of the turn is not learned",
        ),
        (
            lambda row: replace(row, ids=(row.ids[0], *row.ids), loss_mask=(False, *row.loss_mask)),
            "start token twice",
        ),
        (lambda row: replace(row, loss_mask=(True,) * len(row.ids)), "tokens of the prompt are learned"),
        (lambda row: replace(row, loss_mask=(False,) * len(row.ids)), "rows teach no word"),
    ],
)
def test_what_would_be_trained_otherwise_than_asked_stops_the_run(ready, change, said):
    recipe, prepared, words = ready
    with pytest.raises((InputError, InputErrors)) as caught:
        check_parity(recipe, spoiled(prepared, change), words, say=pytest.fail)
    assert said in str(caught.value)
    assert "tasks.rows" in str(caught.value)


def test_turns_before_a_prompt_are_compared_with_it(tmp_path, tiny_model_folder):
    turns = [
        {"role": role, "content": f"{role} says {k}"} for k in range(2) for role in ("user", "assistant")
    ]
    rows = [
        {"messages": [{**turn, "content": f"{turn['content']} in {n}"} for turn in turns]} for n in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = {"model": str(tiny_model_folder), "tasks": [{"data": {"path": "rows.jsonl"}}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(told))
    recipe = load(tmp_path / "recipe.yaml")
    words = load_tokenizer(resolve(str(tiny_model_folder)))
    read = read_rows(recipe, None)
    assert any(row.history for row in read.tasks[0].train)
    check_parity(recipe, prepare(recipe, read, words), words, say=pytest.fail)
