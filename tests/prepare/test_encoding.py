"""Rows that do not fit the model: all of them are reported in one pass, or left out and counted."""

from __future__ import annotations

import json

import pytest

from tutelage.config import load
from tutelage.core.errors import InputError, InputErrors
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare.preparation import prepare
from tutelage.prepare.reader import read_rows

LONG = "word " * 200


@pytest.fixture(scope="module")
def words(tiny_model_folder):
    return load_tokenizer(resolve(str(tiny_model_folder)))


def encoded(
    folder, words, *, long: dict[str, list[int]], drop: bool = False, new_tokens: int = 8, tune: str = ""
):
    """A task of 40 rows as tokens; `long` says by split which rows have texts that are far too long. A column splits."""
    rows = []
    for n in range(40):
        split = "test" if n % 4 == 3 else "validation" if n % 8 == 2 else "train"
        answer = LONG if n in long.get(split, []) else f"answer {n}"
        rows.append({"q": f"question {n}", "a": answer, "s": split})
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # The prompt's own text is never cut, so that a test row can be too long as well.
    prompt = f"prompt: '{{{{ q }}}}{{% if a | length > 99 %}}{LONG}{{% endif %}}', completion: '{{{{ a }}}}'"
    (folder / "r.yaml").write_text(
        f"model: ./x\ntasks: [{{data: {{path: d.jsonl, on_bad_row: {'drop' if drop else 'stop'}}}, {prompt}, "
        f"max_new_tokens: {new_tokens}, split: {{column: s}}}}]\ntune: {{max_length: 128{tune}}}\n"
    )
    recipe = load(folder / "r.yaml")
    return prepare(recipe, read_rows(recipe, None), words)


def test_all_rows_that_are_too_long_come_in_one_error(tmp_path, words):
    with pytest.raises(InputErrors) as caught:
        encoded(tmp_path, words, long={"train": [0, 1, 4], "validation": [10], "test": [3, 7]})
    locations = [error.where.rpartition(":")[2] for error in caught.value.errors]
    assert locations == ["1", "2", "5", "11", "4", "8"]
    text = caught.value.block()
    assert "6 mistakes" in text
    assert text.count("does not fit into 128 tokens") == 1
    assert "on_bad_row: drop" in text


def test_they_are_left_out_listed_and_counted_where_the_recipe_says_so(tmp_path, words):
    whole = encoded(tmp_path, words, long={})
    got = encoded(tmp_path, words, long={"train": [0, 1, 4], "validation": [10], "test": [3, 7]}, drop=True)
    card = got.card["tasks"]["d"]
    assert [one["where"].rpartition(":")[2] for one in card["dropped"]] == ["1", "2", "5", "11", "4", "8"]
    assert all("does not fit into 128 tokens" in one["why"] for one in card["dropped"])
    assert card["rows"] == 34
    assert card["splits"] == {"train": 22, "validation": 4, "test": 8}
    assert [len(got.tasks[0].train), len(got.validation), len(got.tasks[0].questions[0].test)] == [22, 4, 8]
    assert [len(got.tasks[0].rows.train), len(got.tasks[0].rows.test)] == [22, 8]
    assert got.identity["tasks"]["d"]["training_rows"] == 22
    kept = {row.id: row for row in whole.tasks[0].train}
    assert all(kept[row.id] == row for row in got.tasks[0].train)  # the others are what they are without them


def test_nothing_is_dropped_when_it_would_be_most_of_it_or_all_of_the_test_rows(tmp_path, words):
    with pytest.raises(InputError, match="more than half"):
        encoded(tmp_path, words, long={"train": list(range(40))}, drop=True)
    with pytest.raises(InputError, match="too few rows that fit") as caught:
        encoded(tmp_path, words, long={"test": list(range(4, 40))}, drop=True)
    assert "test: 1" in caught.value.found


def test_answers_that_leave_no_room_for_a_prompt_are_one_mistake_of_the_recipe(tmp_path, words):
    with pytest.raises(InputError, match="no room is left for a prompt") as caught:
        encoded(tmp_path, words, long={}, new_tokens=128)
    assert "max_new_tokens" in caught.value.where


def test_training_rows_that_are_too_long_are_dropped_by_rule_and_test_rows_are_not(tmp_path, words):
    rule = ", too_long: drop"
    got = encoded(tmp_path, words, long={"train": list(range(2, 40)), "validation": [10]}, tune=rule)
    assert got.card["tasks"]["d"]["splits"] == {"train": 2, "validation": 4, "test": 10}
    assert len(got.card["tasks"]["d"]["dropped"]) == 24
    with pytest.raises(InputErrors) as caught:
        encoded(tmp_path, words, long={"train": [0], "test": [3, 7]}, tune=rule)
    assert [error.where.rpartition(":")[2] for error in caught.value.errors] == ["4", "8"]


def test_an_answer_that_is_cut_by_rule_fills_the_row_and_does_not_end(tmp_path, words):
    (tmp_path / "d.jsonl").write_text(
        "".join(json.dumps({"prompt": f"{n} hi", "completion": LONG}) + "\n" for n in range(24))
    )
    (tmp_path / "r.yaml").write_text(
        "model: ./x\ntasks: [{data: {path: d.jsonl}, max_new_tokens: 8}]\ntune: {max_length: 64, too_long: cut}\n"
    )
    recipe = load(tmp_path / "r.yaml")
    got = prepare(recipe, read_rows(recipe, None), words)
    for row in got.tasks[0].train:
        assert len(row.ids) == 64
        assert row.dropped > 0
        assert row.n_loss >= 32
        assert row.ids[-1] != words.tokenizer.eos_token_id
    assert got.card["tasks"]["d"]["tokens"]["train"]["truncated"] == len(got.tasks[0].train)
