"""The compiled core gives what numpy and Python give, for every text; it neither leaks nor crashes."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import resource
import string
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer

from tutelage.metrics.rouge import core, counts, lcs, rouge
from tutelage.metrics.rouge.tokens import Corpus, intern

ORDERS = list(range(1, 10))


@pytest.fixture(autouse=True, scope="module")
def _compiled(missing):
    if not core.BUILT:
        missing("the compiled core", install="`pip install -e .`, with a C compiler and Python's headers,")


pieces = st.one_of(
    st.sampled_from(
        [
            "a",
            "b",
            "the cat",
            "The",
            "running",
            "flies",
            "\0",
            " ",
            "\n",
            "-",
            "x1",
            "é",
            "K",
            "İ",
            "Σ",
            "\ud800",
        ]
    ),
    st.text(max_size=12),
    st.text("abAB01 ", max_size=30),
    st.integers(1, 40).map(lambda n: "generalizations" * n),
)
texts = st.lists(pieces, max_size=30).map("".join)
ids = st.lists(st.integers(0, 4), max_size=150)


@contextmanager
def numpy_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "BUILT", False)
        yield


def same_corpus(left: Corpus, right: Corpus) -> None:
    for one, other, kind in ((left.ids, right.ids, np.int32), (left.starts, right.starts, np.int64)):
        assert one.dtype == other.dtype == kind
        np.testing.assert_array_equal(one, other)
    assert left.size == right.size


def same_everything(given_texts: list[str]) -> None:
    for stemmer in (False, True):
        built = intern(given_texts, stemmer=stemmer)
        with numpy_only():
            plain = intern(given_texts, stemmer=stemmer)
        same_corpus(built, plain)
        if len(given_texts) % 2 == 0:
            same_counts(plain)


def same_counts(sides: Corpus) -> None:
    built, lengths = counts.overlaps(sides, ORDERS), lcs.lengths(sides)
    with numpy_only():
        plain, other = counts.overlaps(sides, ORDERS), lcs.lengths(sides)
    assert list(built) == list(plain) == ORDERS
    for one, another in [*((built[n], plain[n]) for n in ORDERS), (lengths, other)]:
        assert one.dtype == another.dtype == np.int64
        np.testing.assert_array_equal(one, another)


def sides_of(held: list[list[int]], size: int) -> Corpus:
    starts = np.cumsum([0, *map(len, held)])
    return Corpus(np.array(list(itertools.chain.from_iterable(held)), np.int32), starts, size)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=8))
def test_texts(held):
    same_everything(held)


@pytest.mark.parametrize(
    "held",
    [
        [],
        [""],
        ["", ""],
        ["\0"],
        ["a\0b", "\0\0"],
        [" .,-\n", "\t"],
        ["a"],
        ["A a", "a"],
        ["x" * 7, "x" * 8, "x" * 9, "x" * 16, "x" * 17, "x" * 8 + "y" + "x" * 8],
        ["z" * 100_000 + "ing", "z" * 100_000],
        [" ".join(map(str, range(20_000))), " ".join(map(str, range(30_000)))],
        ["ever " * 1000, "ever " * 999],
    ],
    ids=lambda held: ascii(held)[:30],
)
def test_texts_at_the_edges(held):
    same_everything(held)


def test_every_character_of_the_basic_plane():
    same_everything(["".join(f"a{chr(code)}b " for code in range(0x10000))])


def test_only_two_characters_beyond_ascii_have_ascii_in_their_lower_case():
    found = [code for code in range(0x80, sys.maxunicode + 1) if any(c < "\x80" for c in chr(code).lower())]
    assert found == [0x130, 0x212A]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 4).flatmap(lambda n: st.lists(ids, min_size=2 * n, max_size=2 * n)))
def test_pairs(held):
    sides = sides_of(held, 5)
    same_counts(sides)
    half = len(held) // 2
    found = counts.overlaps(sides, [1, 3])
    for pair, (one, other) in enumerate(zip(held[:half], held[half:], strict=True)):
        for n in (1, 3):
            grams = [
                Counter(tuple(side[i : i + n]) for i in range(len(side) - n + 1)) for side in (one, other)
            ]
            assert found[n][pair] == sum((grams[0] & grams[1]).values())


def test_pairs_that_are_long_and_pairs_that_are_many():
    rng = np.random.default_rng(0)
    for texts_, words, size in ((2, 3000, 40), (2, 3000, 4000), (4, 129, 3), (600, 20, 50)):
        lengths = rng.integers(0, words, texts_)
        drawn = rng.integers(0, size, lengths.sum())
        same_counts(Corpus(drawn.astype(np.int32), np.concatenate(([0], np.cumsum(lengths))), size))


def test_some_orders_only():
    sides = sides_of([[1, 2, 3], [1, 2, 3]], 4)
    assert counts.overlaps(sides, []) == {}
    assert {n: hits.tolist() for n, hits in counts.overlaps(sides, [3, 1, 3]).items()} == {1: [3], 3: [1]}


SUFFIXES = """
    ational tional enci anci izer bli alli entli eli ousli fulli ization ation ator alism iveness
    fulness ousness aliti iviti biliti logi ies sses ss s ied eed ed ing y icate ative alize iciti ical
    ful ness al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize e ll yyy at
    bl iz ly es
"""
HEADS = "b y yy a by ay tr contr oat hop fall fizz fil fail sky geo theo yay s1 crypt"
IRREGULAR = """
    skies dying lying tying innings outings cannings sky news inning outing canning howe proceed exceed
    succeed
"""


def words() -> Iterator[str]:
    """Words that reach every rule of the stemmer: its suffixes, one or two of them, behind beginnings of all shapes."""
    draw = random.Random(0)
    suffixes = SUFFIXES.split()
    for head, first, last in itertools.product(["", *HEADS.split()], ["", *suffixes], ["", *suffixes]):
        yield head + first + last
    for _ in range(20_000):
        letters = "aeioulstyng" + string.ascii_lowercase + string.digits
        drawn = "".join(draw.choices(letters, k=draw.randint(0, 14)))
        yield from (drawn, drawn[:5] + draw.choice(suffixes) + draw.choice(["", "s", "li", "y"]))
    yield from (*IRREGULAR.split(), "y" * 5000, "yo" * 2000 + "ing")


def test_stems():
    nltk, stemmed = PorterStemmer(), set(words())
    assert len(stemmed) > 90_000
    assert [word for word in stemmed if core.stem(word) != nltk.stem(word)] == []


def test_stems_of_the_other_tokenizers():
    held = ["The Übungen were running", "naïve generalizations, 東京 running"]
    for tokenizer in ("unicode", "cjk"):
        built = intern(held, stemmer=True, tokenizer=tokenizer)
        with numpy_only():
            same_corpus(built, intern(held, stemmer=True, tokenizer=tokenizer))


def test_real_text():
    folder = os.environ.get("TUTELAGE_DATA")
    if not folder or not (Path(folder) / "dialogsum").is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with dialogsum")
    path = Path(folder) / "dialogsum" / "dialogsum.dev.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    lines = [line for row in rows for line in (row["summary"], *row["dialogue"].split("\n"))]
    assert len(lines) > 3000
    same_everything(lines[: len(lines) // 2 * 2])
    held = {
        word for line in lines for word in "".join(c if c.isalnum() else " " for c in line.lower()).split()
    }
    nltk = PorterStemmer()
    assert [word for word in held if word.isascii() and core.stem(word) != nltk.stem(word)] == []
    predictions = [row["dialogue"] for row in rows]
    references = [[row["summary"]] for row in rows]
    names = ("rouge1", "rouge2", "rouge9", "rougeL", "rougeLsum")
    built = rouge(predictions, references, names)
    with numpy_only():
        plain = rouge(predictions, references, names)
    for name in names:
        assert built[name].tobytes() == plain[name].tobytes()


def test_nothing_is_kept():
    """A leak of one buffer a call would be hundreds of megabytes."""
    text = "Many different words " + " ".join(map(str, range(2000)))
    sides = intern([text, text], stemmer=False)
    short = np.array([0, 1, 5], np.int64)

    def calls(count: int) -> None:
        for _ in range(count):
            core.intern([text[:4000], "é" + text[:4000]], stemmer=True)
            core.overlaps(sides.ids[:1000], np.array([0, 500, 1000]), sides.size, 2)
            core.lcs(sides.ids[:1000], np.array([0, 500, 1000]), sides.size)
            for wrong in (sides.ids, sides.ids[:3]):
                with pytest.raises(ValueError, match="ids must"):
                    core.overlaps(wrong, short, sides.size, 2)
            with pytest.raises(TypeError):
                core._core.intern([text, None], True)

    calls(500)
    counted = [sys.getrefcount(one) for one in (text, sides.ids, sides.starts, short)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls(10_000)
    assert [sys.getrefcount(one) for one in (text, sides.ids, sides.starts, short)] == counted
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024  # kilobytes


def int32(*numbers: int) -> bytes:
    return np.array(numbers, np.int32).tobytes()


def int64(*numbers: int) -> bytes:
    return np.array(numbers, np.int64).tobytes()


@pytest.mark.parametrize(
    ("ids_", "starts", "size", "orders"),
    [
        (int32(1, 2)[:-1], int64(0, 1, 2), 5, 1),  # bytes that are no int32, no int64
        (int32(1, 2), int64(0, 1, 2)[:-1], 5, 1),
        (int32(1, 2), b"", 5, 1),  # no starts
        (int32(1, 2), int64(0, 2), 5, 1),  # one text
        (int32(1, 2), int64(0, 1, 1), 5, 1),  # ends too early, too late, falls, begins too late, below 0
        (int32(1, 2), int64(0, 1, 3), 5, 1),
        (int32(1, 2), int64(0, 3, 2), 5, 1),
        (int32(1, 2), int64(1, 1, 2), 5, 1),
        (int32(1, 2), int64(-1, 1, 2), 5, 1),
        (int32(1, 2), int64(0, -1, 2), 5, 1),
        (int32(1, 2), int64(0, -(2**63), 2), 5, 1),
        (int32(1, 5), int64(0, 1, 2), 5, 1),  # ids that are not below size, or below 0
        (int32(1, -1), int64(0, 1, 2), 5, 1),
        (int32(1, -(2**31)), int64(0, 1, 2), 5, 1),
        (int32(1, 2), int64(0, 1, 2), -1, 1),
        (int32(1, 2), int64(0, 1, 2), 2**31, 1),
        (int32(1, 2), int64(0, 1, 2), 5, 0),
        (int32(1, 2), int64(0, 1, 2), 5, -1),
    ],
)
def test_wrong_numbers(ids_, starts, size, orders):
    with pytest.raises(ValueError, match=r"must|hold"):
        core._core.overlaps(ids_, starts, size, orders)
    if orders == 1:
        with pytest.raises(ValueError, match=r"must|hold"):
            core._core.lcs(ids_, starts, size)


def test_wrong_types():
    for texts_, error in (
        (("a", "b"), TypeError),
        ("ab", TypeError),
        ([1], TypeError),
        ([bytearray(b"a")], TypeError),
        (["\ud800"], UnicodeEncodeError),
    ):
        with pytest.raises(error):
            core._core.intern(texts_, False)
    for word in ("a", None, bytearray(b"a")):
        with pytest.raises(TypeError):
            core._core.stem(word)
    apart = np.zeros(8, np.int32)[::2]
    for first, second in (("a", int64(0)), (int32(), [0]), (apart, int64(0, 4, 4))):
        with pytest.raises((TypeError, ValueError, BufferError)):
            core._core.overlaps(first, second, 5, 1)
    with pytest.raises((MemoryError, OverflowError)):
        core._core.overlaps(int32(1, 1), int64(0, 1, 2), 5, 2**62)
    for function in (core._core.intern, core._core.stem, core._core.overlaps, core._core.lcs):
        with pytest.raises(TypeError):
            function()


def test_numbers_that_lie_at_odd_addresses():
    held = b"x" + int32(1, 2, 1, 2)
    assert core._core.overlaps(memoryview(held)[1:], int64(0, 2, 4), 3, 2) == int64(2, 1)


def test_a_build_of_another_revision_is_not_used(monkeypatch):
    monkeypatch.setattr(core._core, "REVISION", 0)
    again = importlib.util.module_from_spec(core.__spec__)
    core.__spec__.loader.exec_module(again)
    assert not again.BUILT
