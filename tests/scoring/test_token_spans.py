"""Where tokens stand: as many places as the tokenizer makes tokens, each holding its token."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tutelage.metrics.rouge.tokens import Tokenizer, intern
from tutelage.scoring.explain.token_spans import token_spans, tokenize_for_rouge

TOKENIZERS: tuple[Tokenizer, ...] = ("reference", "unicode", "cjk")
# Characters that compose with what stands before them, or turn into several: jamo, marks, vowel signs, ligatures.
HARD = "a1 .,-\n\0\u0301\u0327\u1100\u1161\u11a8\uac00\u0b47\u0b3e\u09c7\u09be\u3099\u304b\uff76\uff9e\u00bd\u3231\ufb01\u0130\u00df\u1e9e\u212a\u732b\u3042\ufe0f\u2764\u0344\u0345\u03a3\u1fb7\u3300\U0001f600\ud800"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from(HARD), st.characters()), max_size=40))
@example("\u1112\u1161\u11ab\u1100\u1173\u11af")
@example("\u0b47\u0b3e\u0b47 \u0b3e")
@example("e\u0301\u0327 caf\u00e9")
@example("\uff76\uff9e\uff76")
def test_there_are_as_many_places_as_tokens(text: str):
    for tokenizer in TOKENIZERS:
        found = token_spans(text, tokenizer)
        assert len(found) == intern([text], stemmer=False, tokenizer=tokenizer).lengths[0]
        assert all(0 <= start < end <= len(text) for start, end in found)
        assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(found))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from(HARD), st.characters()), max_size=30))
def test_what_stands_at_a_place_is_the_token(text: str):
    """Cut out of its text, the place gives the same token, unless several tokens share one character."""
    for tokenizer in TOKENIZERS:
        found = token_spans(text, tokenizer)
        alone = [place for place in found if sum(a < place[1] and place[0] < b for a, b in found) == 1]
        pieces = [text[start:end] for start, end in alone]
        told = intern([text, *pieces], stemmer=False, tokenizer=tokenizer)
        whole = told.ids[: told.lengths[0]]
        np.testing.assert_array_equal(told.lengths[1:], 1)
        expected = [int(token) for token, place in zip(whole, found, strict=True) if place in alone]
        assert told.ids[told.lengths[0] :].tolist() == expected


@pytest.mark.parametrize(
    ("text", "tokenizer", "words"),
    [
        ("The cat's 3.5 mats", "reference", ["The", "cat", "s", "3", "5", "mats"]),
        ("caf\u00e9 \u0130z", "reference", ["caf", "\u0130", "z"]),
        ("cafe\u0301 \u0130z", "unicode", ["cafe\u0301", "\u0130z"]),
        ("\u732b\u304c cat", "cjk", ["\u732b", "\u304c", "cat"]),
        ("\u732b\u304c cat", "unicode", ["\u732b\u304c", "cat"]),
        ("\u00bd cup", "unicode", ["\u00bd", "\u00bd", "cup"]),
        ("", "unicode", []),
    ],
)
def test_words_stand_where_people_see_them(text: str, tokenizer: Tokenizer, words: list[str]):
    assert [text[start:end] for start, end in token_spans(text, tokenizer)] == words


@pytest.mark.long
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_every_code_point(tokenizer: Tokenizer):
    chars = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    lengths = intern(chars, stemmer=False, tokenizer=tokenizer).lengths
    wrong = [char for char, n in zip(chars, lengths, strict=True) if len(token_spans(char, tokenizer)) != n]
    assert wrong == []


def test_equal_words_of_two_texts_have_equal_numbers():
    left, right = tokenize_for_rouge(["Running cats", "cat runs"], stemmer=True, tokenizer="reference")
    assert left.ids == right.ids[::-1]
    assert left.form(0, 2) == "running cats"
    assert right.ngrams(2) == [right.ids]
    assert right.ngrams(3) == []


def test_importing_explanations_loads_nothing_heavy():
    code = "import sys, tutelage.scoring.explain; print([m for m in ('torch', 'transformers', 'scipy', 'nltk', 'sacrebleu', 'yaml') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
