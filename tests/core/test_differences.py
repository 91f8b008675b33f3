"""Every leaf that differs, and no other."""

from __future__ import annotations

from tutelage.core.differences import JsonDifference, differences, join_differences


def test_equal_values_have_no_difference_and_tuples_are_lists():
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": {}}}
    assert differences(value, {"b": {"c": {}}, "a": (1, 2.5, "x", None, True)}) == []
    assert differences((1, (2,)), [1, [2]]) == []


def test_every_leaf_is_named_by_its_path():
    old = {"a": 1, "b": [1, {"c": "x"}], "gone": [1], "same": 0, "n": 1}
    new = {"a": 2, "b": [1, {"c": "y"}], "come": {"z": 1}, "same": 0, "n": True}
    assert differences(old, new) == [
        JsonDifference("a", "1", "2"),
        JsonDifference("b.1.c", '"x"', '"y"'),
        JsonDifference("come", "nothing", '{"z": 1}'),
        JsonDifference("gone", "[1]", "nothing"),
        JsonDifference("n", "1", "true"),
    ]


def test_lists_of_other_lengths_and_other_kinds_differ_as_a_whole():
    assert differences({"a": [1, 2]}, {"a": [1]}) == [JsonDifference("a", "[1, 2]", "[1]")]
    assert differences({"a": [1]}, {"a": {"b": 1}}) == [JsonDifference("a", "[1]", '{"b": 1}')]
    assert differences({"a": None}, {}) == [JsonDifference("a", "null", "nothing")]


def test_hashes_and_long_values_are_shortened():
    assert differences("ab" * 32, "cd" * 32) == [JsonDifference("", "abababababab", "cdcdcdcdcdcd")]
    (long,) = differences(list(range(100)), "x" * 100)
    assert len(long.old) == 60
    assert long.new == '"' + "x" * 59 + '…"'


def test_they_are_listed_and_what_is_too_many_is_counted():
    found = differences({str(i): i for i in range(9)}, {})
    said = join_differences(found, "{path}: {old} > {new}", limit=2)
    assert said == "0: 0 > nothing; 1: 1 > nothing; and 7 more"
    assert join_differences(found[:1], "{path}", limit=2) == "0"
