from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core import yamltext
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.yamltext import read, read_file, read_foreign, write

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab: #{}'\"\né", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc no", max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_pyyaml_writes_is_read_back(value):
    assert read(yaml.safe_dump(value, allow_unicode=True), file="f").value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5.0e-4", 0.0005),
        (".5", 0.5),
        ("-2", -2),
        ("010", 10),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("0x1F", "0x1F"),
    ],
)
def test_plain_words_mean_what_they_look_like(text, value):
    found = read(f"a: {text}", file="f").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_item_has_its_line():
    text = "# comment\na: 1\nb:\n  - c: 2\n  - d:\n      e: [3,\n        4]\n"
    assert read(text, file="f").lines == {
        (): 2,
        ("a",): 2,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 0, "c"): 4,
        ("b", 1): 5,
        ("b", 1, "d"): 5,
        ("b", 1, "d", "e"): 6,
        ("b", 1, "d", "e", 0): 6,
        ("b", 1, "d", "e", 1): 7,
    }


@pytest.mark.parametrize(
    ("text", "line", "problem", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice", "a a second time; the first is on line 1"),
        ("a:\n  b: 1\n  b: 2\n", 3, "stands twice", "a.b a second time"),
        (
            "a: !!python/object/apply:os.system [x]\n",
            1,
            "not used here",
            "the tag tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("a: !!str 5\n", 1, "not used here", "the tag"),
        ("a: &x 1\n", 1, "not used here", "the anchor &x"),
        ("a: 1\n---\nb: 2\n", 2, "not used here", "a second document"),
        ("a: 1\n? [x]\n: 2\n", 2, "not used here", "as a key"),
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "not valid YAML", "c: 3"),
        ("a: b: c\n", 1, "not valid YAML", "a: b: c"),
        ("a:\n\tb: 1\n", 2, "not valid YAML", "b: 1"),
        ("a: 1\nb: \x01\n", 2, "a character", "U+0001"),
        ("a: " + "[" * 80 + "]" * 80, 1, "not used here", "deep nesting"),
    ],
)
def test_what_a_recipe_may_not_hold(text, line, problem, found):
    with pytest.raises(InputError) as caught:
        read(text, file="r.yaml")
    error = caught.value.errors[0] if isinstance(caught.value, InputErrors) else caught.value
    assert error.where == f"r.yaml:{line}"
    assert problem in error.problem
    assert found in error.found
    assert error.fix


def test_aliases_cannot_grow():
    text = "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    with pytest.raises(InputErrors) as caught:
        read(text, file="r.yaml")
    assert {error.where for error in caught.value.errors} == {"r.yaml:1", "r.yaml:2", "r.yaml:3"}


@given(st.text(alphabet="abc:-[]{}&*!|>%@`'\"#,? \n\t01.", max_size=40))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_only_our_errors_come_out(text):
    outcome = ""
    try:
        read(text, file="r.yaml")
    except InputError as error:
        outcome = error.block()
    assert outcome == "" or "r.yaml" in outcome


def bomb(levels: int, width: int = 10) -> str:
    """Nested aliases: a few hundred bytes that hold `width ** levels` values."""
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_yaml_of_other_programs_is_read_with_its_aliases_tags_and_repeated_keys():
    text = "a: &x [1, two]\nb: *x\nc: !!str {d: &y {k: v, l: w}}\ne: {<<: *y, l: z}\na2: 1\na2: 2\n"
    assert read_foreign(text, file="f") == {
        "a": [1, "two"],
        "b": [1, "two"],
        "c": {"d": {"k": "v", "l": "w"}},
        "e": {"k": "v", "l": "z"},
        "a2": 2,
    }
    merged = "b: 1\na: 2\n<<: {c: 3, a: 4}\nd: 5\n"
    assert list(read_foreign(merged, file="f").items()) == list(yaml.safe_load(merged).items())
    assert read_foreign(write({"no": "yes", "n": 1e-05, "s": "1e-5"}), file="f") == {
        "no": "yes",
        "n": 1e-05,
        "s": "1e-5",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb(9), "the YAML is too large"),
        (bomb(60, 2), "the YAML is too large"),
        ("a: &a [*a]", "not used here"),
        ("a: *b", "not used here"),
        ("a: " + "[" * 500, "not used here"),
        ("a: " + "{a: " * 500, "not used here"),
        ("? [a]\n: b", "not used here"),
        ("a: [", "not valid YAML"),
        ("a: \x01", "does not allow"),
    ],
)
def test_what_would_grow_or_cannot_be_read_is_refused_with_its_line(text, words):
    with pytest.raises(InputError, match=words) as caught:
        read_foreign(text, file="README.md")
    assert caught.value.where.startswith("README.md:")


def test_a_recipe_of_a_run_that_was_edited_by_hand_is_refused_by_name(tmp_path, monkeypatch):
    for content in (bomb(9).encode(), b"a: [", b"\xff\xfe", b"a: &a [*a]"):
        (tmp_path / "recipe.yaml").write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_file(tmp_path / "recipe.yaml", subject="the run's recipe")
        assert caught.value.where.startswith(str(tmp_path / "recipe.yaml"))
    monkeypatch.setattr(yamltext, "MAX_RUN_RECIPE_BYTES", 10)
    (tmp_path / "recipe.yaml").write_text("a: " + "x" * 20)
    with pytest.raises(InputError, match="the run's recipe is too large"):
        read_file(tmp_path / "recipe.yaml", subject="the run's recipe")
    with pytest.raises(InputError, match="the run's recipe is not there"):
        read_file(tmp_path / "gone.yaml", subject="the run's recipe")
