"""ABCD's dialogues become conversations in which every answer of the agent is a row."""

from __future__ import annotations

import json

import pytest

from tutelage.core.errors import InputError, InputErrors
from tutelage.data import DataSource, load

TURNS = [
    ["agent", "Hi!"],
    ["agent", "How can I help?"],
    ["customer", "It is the wrong size."],
    ["action", "Account has been pulled up for Ann."],
    ["agent", "Your order number, please?"],
    ["action", "Purchase validation in progress ..."],
    ["agent", "It is on its way."],
    ["customer", "Thanks."],
]


def read(tmp_path, turns, **fields):
    path = tmp_path / "abcd.json"
    path.write_text(json.dumps([{"convo_id": 7, "original": turns, **fields}]), encoding="utf-8")
    return load(DataSource(path=path.name), root=tmp_path)


def test_each_answer_is_a_row_with_its_history_and_what_the_system_did(tmp_path):
    data = read(tmp_path, TURNS, scenario={"flow": "return", "subflow": "size", "order": {}}, delexed=[])
    assert data.source["layout"] == "abcd"
    first, second = data.examples
    assert first.history == (("assistant", "Hi!\nHow can I help?"),)
    assert first.fields["prompt"] == "It is the wrong size.\n[Account has been pulled up for Ann.]"
    assert first.fields["completion"] == "Your order number, please?"
    assert second.fields["prompt"] == "[Purchase validation in progress ...]"
    assert second.fields["completion"] == "It is on its way."
    assert len(second.history) == 3
    assert (first.fields["convo_id"], first.fields["flow"], first.fields["subflow"]) == (7, "return", "size")
    assert first.fields["conversation"] == second.fields["conversation"]


def test_what_is_not_read_is_named(tmp_path):
    notes = read(tmp_path, TURNS, scenario={"flow": "f"}, delexed=[]).source["notes"]
    assert "1 dialogues have scenario and delexed, which are not part of the talk and not used" in notes
    assert not any("scenario" in note for note in read(tmp_path, TURNS).source["notes"])


@pytest.mark.parametrize(
    ("turn", "problem"),
    [
        (["boss", "Hm."], "original[8] names no known speaker"),
        (["agent"], "original[8] is no turn"),
        ("agent: hm", "original[8] is no turn"),
        (["agent", None], "original[8] is no turn"),
    ],
)
def test_a_turn_that_is_none_is_refused_by_its_place(tmp_path, turn, problem):
    with pytest.raises((InputError, InputErrors)) as caught:
        read(tmp_path, [*TURNS, turn])
    assert problem in str(caught.value)
