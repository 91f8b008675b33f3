from __future__ import annotations

import json

import pytest

from tutelage.core.errors import (
    InputError,
    InputErrors,
    MachineError,
    Stopped,
    Terminated,
    TutelageError,
    raise_all,
)
from tutelage.core.limits import MAX_ERROR_BYTES

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


def same(count: int) -> list[InputError]:
    return [
        InputError("no text", where=f"r.jsonl:{n}", found="nothing", fix="fill it")
        for n in range(1, count + 1)
    ]


def test_the_same_mistake_in_many_rows_stands_once_with_the_first_places_and_the_count():
    rows = same(450)
    rows[2].found = "other"
    error = InputErrors("r.jsonl", [*rows, InputError("no row", where="r.jsonl:9")])
    assert error.block() == (
        "r.jsonl: 451 mistakes\n\n"
        "r.jsonl:1: no text\n  found:    nothing\n  fix:      fill it\n"
        "  also at:  r.jsonl:2, r.jsonl:3 (other), r.jsonl:4, r.jsonl:5, r.jsonl:6 and 444 more\n\n"
        "r.jsonl:9: no row"
    )
    first, second = error.as_json()["errors"]
    assert first["places"] == 450
    assert first["also_at"] == [f"r.jsonl:{n}" for n in range(2, 7)]
    assert "places" not in second
    assert error.as_json()["mistakes"] == 451
    assert len(error.errors) == 451


def test_mistakes_with_other_advice_or_other_bounds_are_not_the_same():
    for change in ({"fix": "other"}, {"expected": "2 or more"}):
        errors = [*same(1), InputError("no text", **{"where": "r:2", "fix": "fill it", **change})]
        assert "also at" not in InputErrors("r", errors).block()


def test_names_and_numbers_that_differ_do_not_make_another_mistake():
    errors = [InputError(f'bad "{name}" (column {n})', where=f"r:{n}") for n, name in enumerate("abc", 1)]
    assert InputErrors("r", errors).block().endswith("  also at:  r:2, r:3")


@pytest.mark.parametrize("text", ["x" * 10_000_000, "\U0001f600" * 1_000_000, "a\n" * 1_000_000])
def test_an_error_is_bounded_whatever_its_parts_hold(text):
    one = InputError(text, where=text, found=text, expected=text, fix=text)
    many = InputErrors(text, [InputError(f"{text}{'y' * n}", where=text, fix=text) for n in range(40)])
    for error in (one, many):
        assert len(error.block().encode()) <= MAX_ERROR_BYTES
        assert len(json.dumps(error.as_json())) <= MAX_ERROR_BYTES + 1000  # the names of the parts
    assert one.where == text  # programs read the parts themselves
    assert one.block().startswith(text[:2])


def test_of_many_different_mistakes_the_first_are_printed_and_the_rest_counted():
    errors = [InputError("no " + "abcdefghijklmnopqrstuvwxyz"[n], where=f"r:{n}") for n in range(26)]
    text = InputErrors("r", errors, total=60_000).block()
    assert text.startswith("r: 60,000 mistakes\n")
    assert text.endswith("and 59,980 more mistakes")
    assert text.count("r:") == 21
    with pytest.raises(InputErrors) as caught:
        raise_all("r", errors[:1], total=2)
    assert caught.value.total == 2
