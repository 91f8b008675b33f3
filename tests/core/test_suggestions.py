from __future__ import annotations

import pytest

from tutelage.core.suggestions import did_you_mean, nearest, unknown_name


@pytest.mark.parametrize(
    ("name", "close"),
    [("acuracy", "accuracy"), ("rogue1", "rouge1"), ("xyz", None), ("", None), ("accuracy", "accuracy")],
)
def test_the_nearest_name_is_one_that_a_person_could_have_meant(name, close):
    assert nearest(name, ["rouge1", "accuracy", "mcc"]) == close
    assert nearest(name, []) is None


def test_no_near_name_is_looked_for_in_what_is_no_name():
    assert nearest("a" * 1_000_000, ["a" * 999_999]) is None
    assert nearest("accurcy", ["b" * 1_000_000, "accuracy"]) == "accuracy"


def test_a_fix_suggests_the_name_as_it_is_written():
    assert did_you_mean("acuracy", ["accuracy"]) == "did you mean accuracy?"
    assert (
        did_you_mean("acuracy", iter(["accuracy"]), form="metrics: [{}]")
        == "did you mean metrics: [accuracy]?"
    )
    assert did_you_mean("zzz", ["accuracy"]) is None


def test_an_unknown_name_gets_the_names_that_exist_and_the_nearest():
    error = unknown_name("there is no such metric", "acuracy", ["accuracy", "mcc"], where="r.yaml:3")
    assert (error.where, error.found) == ("r.yaml:3", "acuracy")
    assert (error.expected, error.fix) == ("accuracy, mcc", "did you mean accuracy?")
    error = unknown_name("no such one", "zzz", ["a"], also=", or a path", fix="write a path")
    assert (error.expected, error.fix) == ("a, or a path", "write a path")
