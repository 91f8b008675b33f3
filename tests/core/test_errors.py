from __future__ import annotations

import pytest

from tutelage.core.errors import (
    InputError,
    InputErrors,
    MachineError,
    Stopped,
    Terminated,
    TutelageError,
    nearest,
    raise_all,
)

FULL = {
    "where": "rows.jsonl:3",
    "found": "a list",
    "expected": "an object",
    "fix": "write one object a line",
}


def test_an_error_is_one_block_that_says_where_what_and_what_to_do():
    error = InputError("the line is no row", **FULL)
    assert str(error) == (
        "rows.jsonl:3: the line is no row\n"
        "  found:    a list\n"
        "  expected: an object\n"
        "  fix:      write one object a line"
    )
    assert error.as_json() == {"problem": "the line is no row", **FULL}


def test_what_is_not_known_is_left_out_of_the_block_and_null_in_json():
    assert str(InputError("no")) == "no"
    assert str(InputError("no", where="f:1")) == "f:1: no"
    assert str(InputError("no", fix="do")) == "no\n  fix:      do"
    assert InputError("no").as_json() == {
        "problem": "no",
        "where": None,
        "found": None,
        "expected": None,
        "fix": None,
    }


def test_every_error_has_the_exit_code_that_the_command_line_promises():
    codes = {kind.__name__: kind("x").exit_code for kind in (InputError, MachineError, Stopped, Terminated)}
    assert codes == {"InputError": 2, "MachineError": 3, "Stopped": 130, "Terminated": 143}
    assert InputErrors("f", [InputError("x")]).exit_code == 2
    assert issubclass(InputErrors, InputError)
    assert all(issubclass(kind, TutelageError) for kind in (InputError, MachineError, Stopped))


def test_several_mistakes_are_told_together_with_their_number():
    both = InputErrors(
        "r.yaml", [InputError("no", where="r.yaml:1"), InputError("nor this", where="r.yaml:9", fix="f")]
    )
    assert str(both) == "r.yaml: 2 mistakes\n\nr.yaml:1: no\n\nr.yaml:9: nor this\n  fix:      f"
    assert both.as_json()["problem"] == "r.yaml"
    assert [one["where"] for one in both.as_json()["errors"]] == ["r.yaml:1", "r.yaml:9"]
    assert InputErrors("r.yaml", [InputError("no")]).block() == "r.yaml: 1 mistake\n\nno"


def test_no_mistake_is_no_error_one_is_itself_and_more_come_together():
    raise_all("f", [])
    one, other = InputError("one"), InputError("other")
    with pytest.raises(InputError) as caught:
        raise_all("f", [one])
    assert caught.value is one
    with pytest.raises(InputErrors) as several:
        raise_all("f", [one, other])
    assert several.value.errors == (one, other)


@pytest.mark.parametrize(
    ("name", "close"),
    [("acuracy", "accuracy"), ("rogue1", "rouge1"), ("xyz", None), ("", None), ("accuracy", "accuracy")],
)
def test_the_nearest_name_is_one_that_a_person_could_have_meant(name, close):
    assert nearest(name, ["rouge1", "accuracy", "mcc"]) == close
    assert nearest(name, []) is None
