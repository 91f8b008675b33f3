from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core import hashing

# Known answers: FIPS 180-2, appendix B.1, and the hash of nothing.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab1", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


def test_texts_and_files_are_hashed_as_sha256_has_it(tmp_path):
    assert hashing.of_text("abc") == ABC
    assert hashing.of_text("") == NOTHING
    (tmp_path / "a").write_bytes(b"abc")
    assert hashing.of_file(tmp_path / "a") == ABC
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert hashing.of_file(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_half_a_character_in_a_models_text_has_a_hash_too():
    assert hashing.of_text("\ud83d") != hashing.of_text("\ud83e")


def test_the_hash_of_a_value_is_that_of_its_shortest_json_with_sorted_keys():
    value = {"b": [1, 2.5, None, True], "a": "ü"}
    text = '{"a":"ü","b":[1,2.5,null,true]}'
    assert hashing.of_json(value) == hashing.of_text(text)
    assert hashing.of_json(dict(reversed(value.items()))) == hashing.of_json(value)
    assert hashing.of_json([1, 2]) != hashing.of_json([2, 1])


@given(VALUES, VALUES)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_two_values_share_a_hash_only_when_their_json_is_the_same(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (hashing.of_json(one) == hashing.of_json(other)) == same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_cannot_say_has_no_hash(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        hashing.of_json(value)
