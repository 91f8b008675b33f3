"""`tutelage.load`: a model in memory answers, scores and talks as the command does."""

from __future__ import annotations

import pytest

import tutelage
from prediction.conftest import ROWS

ROW = ROWS["colours"][0]


def loaded(finished, task):
    return tutelage.load(finished, task=task, recipe=finished.parent / "recipe.yaml")


def test_it_generates_what_the_run_answered(finished, stored):
    model = loaded(finished, "colours")
    rows = [row for row in ROWS["colours"] if row["split"] == "test"]
    answers = model.generate(rows)
    assert answers == [response.text for _, response in stored["colours"]]
    assert model.generate(ROW["question"]) == model.generate(ROW) == answers[0]
    assert model.task == "colours"


def test_it_scores_the_tasks_choices_or_others(finished, stored):
    model = loaded(finished, "moods")
    (row,) = ROWS["moods"][:1]
    _, response = stored["moods (rank classification)"][0]
    assert tuple(model.score(row).values()) == pytest.approx(response.logprobs, abs=1e-5)
    many = loaded(finished, "colours").score(
        ["Is it red?", "Is it blue?"], choices=["yes", "no", "It is red."]
    )
    assert [list(scores) for scores in many] == [["yes", "no", "It is red."]] * 2
    assert all(value < 0 for scores in many for value in scores.values())
    with pytest.raises(tutelage.InputError, match="no choices to choose from"):
        loaded(finished, "colours").score("Is it red?")


def test_it_talks_without_the_runs_prompt(tiny_model_folder):
    model = tutelage.load(str(tiny_model_folder))
    turns = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello"},
    ]
    answer = model.chat(turns, max_new_tokens=6)
    assert model.chat("Hello", max_new_tokens=6) == model.generate("Hello", max_new_tokens=6)
    row = {"messages": turns}
    assert tutelage.predict(tiny_model_folder, [row], max_new_tokens=6).records[0]["prediction"] == answer
    with pytest.raises(tutelage.InputError, match="does not end with a question"):
        model.chat([{"role": "assistant", "content": "Hello"}])
    with pytest.raises(TypeError, match="temperature"):
        tutelage.load(tiny_model_folder, temperature=1)
