"""Plain text to go on with: learned as it is, all of it, and scored by how likely the model finds texts it has not seen."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tutelage.config.load import from_mapping
from tutelage.core.errors import InputError
from tutelage.inspection.inspect import RowSelection, inspect
from tutelage.job.run import run
from tutelage.results.store import Store

TEXTS = [f"On day {n} the ship sailed on, and nobody saw it again." for n in range(24)]


@pytest.fixture
def recipe(tmp_path: Path, tiny_model_folder: Path):
    rows = "".join(json.dumps({"text": text, "author": "A."}) + "\n" for text in TEXTS)
    (tmp_path / "texts.jsonl").write_text(rows, "utf-8")

    def make(**task):
        return from_mapping(
            {
                "name": "ship",
                "model": str(tiny_model_folder),
                "tasks": [
                    {
                        "data": {"path": "texts.jsonl"},
                        "completion": "{{ text }}",
                        "split": {"test": 4},
                        **task,
                    }
                ],
                "tune": {"epochs": 2, "learning_rate": 0.01, "rank": 4},
            },
            root=tmp_path,
        )

    return make


def test_a_text_is_learned_whole_and_without_a_chat_template(recipe, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inspection = inspect(recipe(), selection=RowSelection(count=1))
    (task,) = inspection.tasks
    (row,) = task.rows
    assert row.prompt == ""
    assert row.text == f"<|im_start|>{row.completion}<|im_end|>"  # the model's bos and eos, and no role
    assert [token.learned for token in row.tokens] == [False, *[True] * (len(row.tokens) - 1)]
    assert inspection.warnings == ()


def test_a_run_scores_texts_by_their_likelihood(recipe, tmp_path: Path):
    outcome = run(recipe(), out=tmp_path / "out")
    task = outcome.results["tasks"]["texts"]
    assert task["primary"] == "bits_per_byte"
    assert task["tuned"]["bits_per_byte"]["value"] < task["base"]["bits_per_byte"]["value"]
    with Store.open(tmp_path / "out" / "results.sqlite", read_only=True) as store:
        evaluation = store.evaluations(model="base", suite="task")[0]
        nats = -sum(response.logprobs[0] for response in evaluation.responses().values())
        size = sum(len(item.references[0].encode()) for item in evaluation.items())
    assert task["base"]["bits_per_byte"]["value"] == pytest.approx(nats / math.log(2) / size)


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"metrics": ["rougeL"]}, "plain text is scored by its likelihood"),
        ({"prompt": "{{ author }}", "metrics": ["perplexity"]}, "which these answers do not have"),
        ({"shots": {"count": 2}}, "plain text has no prompt"),
    ],
)
def test_what_goes_with_a_prompt_only_is_refused(recipe, task, problem):
    with pytest.raises(InputError, match=problem):
        recipe(**task)


def test_one_column_of_text_is_answered_by_the_line_that_teaches_it(recipe, tmp_path: Path):
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (tmp_path / "texts.jsonl").write_text(rows, "utf-8")
    with pytest.raises(InputError) as error:
        inspect(recipe(completion=None))
    assert error.value.fix.startswith('write completion: "{{ text }}" alone')
