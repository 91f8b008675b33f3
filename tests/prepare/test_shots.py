from __future__ import annotations

import json

import pytest
import yaml

from tutelage.config import load
from tutelage.core.errors import InputError
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare.preparation import prepare
from tutelage.prepare.reader import read_rows


def recipe(tmp_path, rows, model="m", **task):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = {
        "model": str(model),
        "tasks": [
            {
                "data": {"path": "rows.jsonl"},
                "metrics": ["rougeL"],
                "split": {"validation": 3, "test": 5},
                **task,
            }
        ],
        "tune": {"max_length": 96},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(told))
    return load(tmp_path / "recipe.yaml")


ROWS = [{"prompt": f"what is {n}?", "completion": f"it is {n}"} for n in range(30)]


@pytest.mark.parametrize("each", ["row", "task"])
def test_exemplars_come_from_the_training_rows_and_are_never_the_row_itself(tmp_path, each):
    (task,) = read_rows(recipe(tmp_path, ROWS, shots={"count": 3, "sampled_per": each}), None).tasks
    known = {(row.prompt, row.completion) for row in task.train}
    sets = set()
    for row in (*task.train, *task.validation, *task.test):
        pairs = [(row.history[n][1], row.history[n + 1][1]) for n in (0, 2, 4)]
        assert [role for role, _ in row.history] == ["user", "assistant"] * 3
        assert set(pairs) <= known - {(row.prompt, row.completion)}
        assert len(set(pairs)) == row.shots == 3
        sets.add(tuple(pairs))
    if each == "row":
        assert len(sets) > 20
    else:  # the same three, but for these three themselves, for whom another one stands in
        assert len(sets) == 4


def test_exemplars_stand_before_the_question_and_are_dropped_whole(tmp_path, tiny_model_folder):
    rows = [
        *ROWS[:25],
        *({"prompt": f"{'long ' * 9}{n}?", "completion": f"it is {n}"} for n in range(25, 30)),
    ]
    told = recipe(tmp_path, rows, tiny_model_folder, shots={"count": 4}, max_new_tokens=8)
    read = read_rows(told, None)
    prepared = prepare(told, read, load_tokenizer(resolve(str(tiny_model_folder))))
    kept = prepared.card["tasks"]["rows"]["shots"]
    assert sum(kept.values()) == len(read.tasks[0].train)
    assert set(kept) - {"4"}
    for row, request in prepared.tasks[0].questions[0].test:
        assert request.prompt == row.prompt
        assert len(request.history) % 2 == 0
        assert row.history[len(row.history) - len(request.history) :] == request.history


def test_a_conversation_takes_no_exemplars(tmp_path):
    rows = [
        {
            "messages": [
                {"role": role, "content": f"{role} {n}-{k}"}
                for k in range(2)
                for role in ("user", "assistant")
            ]
        }
        for n in range(20)
    ]
    with pytest.raises(InputError, match="takes no exemplars"):
        read_rows(recipe(tmp_path, rows, shots={"count": 2}), None)
