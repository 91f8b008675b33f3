from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_INTEGER_DIGITS, MAX_JSON_DEPTH
from tutelage.core.strictjson import json_kind, loads, shorten, strings

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_whatever_json_writes_is_read_back(value):
    assert loads(json.dumps(value), where="a:1") == value
    assert loads(json.dumps(value, ensure_ascii=False), where="a:1") == value


@given(st.text(alphabet='{}[]",:\\u0123dDeE.+- \ntruefalsnNaIiy'))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_only_our_error_comes_out(text):
    try:
        value = loads(text, where="f.jsonl:3")
    except InputError as error:
        refusal: InputError | None = error
    else:
        refusal = None
        assert json.loads(text) == value
    assert refusal is None or (refusal.where == "f.jsonl:3" and refusal.found and refusal.fix)


@pytest.mark.parametrize(
    ("text", "problem", "found"),
    [
        ('{"a": NaN}', "NaN is not JSON", "NaN"),
        ('{"a": -Infinity}', "-Infinity is not JSON", "-Infinity"),
        ('{"a": 1e999}', "too large", "1e999"),
        ('{"a": 1, "b": 2, "a": 3}', 'key "a" stands twice', "2 values"),
        ('{"x": {"a": 1, "a": 1}}', 'key "a" stands twice', "2 values"),
        (r'{"a": "x\ud83d"}', "half a character", r"\ud83d at character 1"),
        (r'{"\udc00": 1}', "half a character", r"\udc00"),
        ('{"a": ' + "9" * (MAX_INTEGER_DIGITS + 1) + "}", "too long", "101 digits"),
        ("[" * 100_000, "nested too deeply", "more than 64"),
        ("[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1), "nested too deeply", "more than 64"),
        ('{"a": 1} x', "not valid JSON: Extra data (column 10)", "x"),
        ('{"a": "\t"}', "not valid JSON: Invalid control character", "column 8"),
        ("", "not valid JSON", "nothing"),
    ],
)
def test_what_python_would_take_or_stumble_over_is_refused(text, problem, found):
    with pytest.raises(InputError) as caught:
        loads(text, where="f:7")
    error = caught.value
    assert error.where == "f:7"
    assert problem in error.problem
    assert found in (error.found or "") + error.problem
    assert error.fix


def test_the_limits_themselves_are_allowed():
    assert loads("9" * MAX_INTEGER_DIGITS, where="f:1") == int("9" * MAX_INTEGER_DIGITS)
    assert loads("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH, where="f:1") is not None
    assert loads("[" + "[]," * 1000 + "[]]", where="f:1") == [[]] * 1001


def test_a_whole_surrogate_pair_is_a_character():
    assert loads(r'"\ud83d\ude00"', where="f:1") == "\U0001f600"


@pytest.mark.parametrize(
    "cut", ['{"a": "hel', '{"a": 1', '{"a": tr', '{"a":', '{"a": "x\\u00', '{"a": [1, 2', '{"a": -']
)
def test_a_text_cut_at_its_end_is_told_from_a_wrong_one(cut):
    with pytest.raises(InputError, match="the last line is cut off"):
        loads(cut, where="f:1", whole=False)
    with pytest.raises(InputError, match="not valid JSON"):
        loads(cut, where="f:1")


def test_strings_and_kinds():
    assert list(strings({"a": ["b", {"c": "d"}], "e": 1})) == ["a", "b", "c", "d", "e"]
    assert [json_kind(v) for v in ("x", 1, 1.5, True, None, [], {})] == [
        "text",
        "a number",
        "a number",
        "true or false",
        "null",
        "a list",
        "an object",
    ]
    assert shorten("a\n" + "b" * 100, 10) == '"a\\nbbbbbbb…"'
