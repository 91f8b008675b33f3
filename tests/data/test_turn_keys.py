"""Keys of turns and columns beside conversations: used, refused by name, or named once."""

from __future__ import annotations

import json

import pytest

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.data import DataSource
from tutelage.data.source import load

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
MEANINGS = yamltext.table("tutelage.data.layouts", "meanings.yaml")


def names(place, use):
    return [name for entry in MEANINGS[place] if entry["use"] == use for name in entry["names"]]


def loaded(folder, *rows, **how):
    (folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load(DataSource(path="r.jsonl", **how), root=folder)


@pytest.mark.parametrize("key", names("turn", "weight"))
@pytest.mark.parametrize("value", [False, 0])
def test_turns_that_are_marked_are_read_and_not_learned(tmp_path, key, value):
    data = loaded(tmp_path, {"messages": [USER, {**ANSWER, key: value}, USER, {**ANSWER, key: True}]})
    (example,) = data.examples
    assert [role for role, _ in example.history] == ["user", "assistant"]


@pytest.mark.parametrize("key", names("turn", "refused"))
@pytest.mark.parametrize("form", [("role", "content"), ("from", "value")])
def test_a_key_that_changes_what_is_said_is_refused_by_name_and_an_empty_one_is_not(tmp_path, key, form):
    role, content = form
    turns = [{role: "user", content: "Hi"}, {role: "assistant", content: "Hello", key: "something"}]
    with pytest.raises(InputError, match="the conversation holds") as caught:
        loaded(tmp_path, {"conversations": turns})
    assert caught.value.found == f"conversations[1].{key}"
    turns[1][key] = None
    assert len(loaded(tmp_path, {"conversations": turns}).examples) == 1


@pytest.mark.parametrize("column", names("conversation", "refused"))
def test_a_column_beside_a_conversation_is_refused_and_the_advised_columns_leave_it_out(tmp_path, column):
    row = {"messages": [USER, ANSWER], column: ["something"]}
    with pytest.raises(InputError, match="in a column"):
        loaded(tmp_path, row)
    assert len(loaded(tmp_path, row, columns=("messages",)).examples) == 1


@pytest.mark.parametrize("column", names("conversation", "system"))
@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, ANSWER]},
        {"prompt": [USER], "completion": [ANSWER]},
        {"prompt": [USER], "completion": "Hello"},
        {"prompt": "Hi", "completion": [ANSWER]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    ],
)
def test_a_system_column_is_the_system_prompt(tmp_path, column, row):
    (example,) = loaded(tmp_path, {**row, column: "You are Ada."}).examples
    assert example.history == (("system", "You are Ada."),)
    assert (example.fields["prompt"], example.fields["completion"]) == ("Hi", "Hello")


def test_keys_without_meaning_are_noted_and_developer_and_empty_system_turns_read(tmp_path):
    developer, empty = {"role": "developer", "content": "Be brief."}, {"role": "system", "content": ""}
    data = loaded(tmp_path, {"messages": [empty, developer, {**USER, "name": "Ann"}, ANSWER]})
    assert data.examples[0].history == (("system", "Be brief."),)
    assert data.source["notes"] == ["1 turns have the key name, which is not used"]


def test_turns_of_one_speaker_in_a_row_are_joined_when_asked_for(tmp_path):
    row = {"messages": [USER, USER, ANSWER, {**ANSWER, "content": "again"}]}
    with pytest.raises(InputError, match="second assistant") as caught:
        loaded(tmp_path, row)
    assert "join_turns: true" in caught.value.fix
    (example,) = loaded(tmp_path, row, join_turns=True).examples
    assert (example.fields["prompt"], example.fields["completion"]) == ("Hi\n\nHi", "Hello\n\nagain")
    row["messages"][2] = {**ANSWER, "weight": 0}
    with pytest.raises(InputError, match="one of them is not learned"):
        loaded(tmp_path, row, join_turns=True)


def test_a_conversation_of_weight_0_is_no_row(tmp_path):
    data = loaded(tmp_path, {"messages": [USER, ANSWER], "weight": 0}, {"messages": [USER, ANSWER]})
    assert [example.origin.line for example in data.examples] == [2]
    with pytest.raises(InputError, match="no weight"):
        loaded(tmp_path, {"messages": [USER, ANSWER], "weight": 0.5})
