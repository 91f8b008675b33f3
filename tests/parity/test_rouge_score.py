"""ROUGE against Google's `rouge_score` 0.1.2 (PyPI): equal to 1e-12 on real pairs, random pairs and made-up ones."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer as reference

from tutelage.metrics.rouge import rouge

NAMES = ("rouge1", "rouge2", "rouge3", "rouge9", "rougeL", "rougeLsum")


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("TUTELAGE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with real pairs")
    return Path(folder)


def assert_equal(pairs: Sequence[tuple[str, str]], names: Sequence[str] = NAMES, *, stemmer: bool) -> None:
    scorer = reference.RougeScorer(list(names), use_stemmer=stemmer)
    expected = [scorer.score(target, prediction) for target, prediction in pairs]
    predictions, references = [own[1] for own in pairs], [[own[0]] for own in pairs]
    found = rouge(predictions, references, names, stemmer=stemmer)
    for name in names:
        wanted = np.array([tuple(scores[name]) for scores in expected], np.float64).reshape(-1, 3)
        np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-12, err_msg=name)


def draw(dice: np.random.Generator, words: Sequence[str], count: int) -> str:
    return " ".join(words[index] for index in dice.integers(len(words), size=count))


@pytest.mark.parametrize("stemmer", [False, True])
@pytest.mark.parametrize("size", ["", "_large"])
def test_the_programs_own_test_pairs(data: Path, size: str, *, stemmer: bool) -> None:
    targets = (data / f"rouge/target{size}.txt").read_text("utf-8").splitlines()
    predictions = (data / f"rouge/prediction{size}.txt").read_text("utf-8").splitlines()
    assert len(targets) == (1000 if size else 2)
    assert_equal(list(zip(targets, predictions, strict=True)), stemmer=stemmer)


@pytest.mark.parametrize("stemmer", [False, True])
def test_every_dialogue_of_dialogsum_against_its_summary(data: Path, *, stemmer: bool) -> None:
    lines = (data / "dialogsum/dialogsum.dev.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    pairs = [(row["summary"], row["dialogue"]) for row in rows]
    assert len(pairs) == 500
    assert_equal(pairs, stemmer=stemmer)


def mts_dialog(data: Path) -> list[tuple[str, str]]:
    pairs = []
    for path in sorted((data / "mts_dialog").glob("MTS-Dialog-*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            pairs += [(row["section_text"], row["dialogue"]) for row in csv.DictReader(file)]
    assert len(pairs) > 1300
    return pairs


def test_a_fifth_of_mts_dialog_against_its_notes(data: Path) -> None:
    pairs = mts_dialog(data)
    assert_equal(pairs[::10], ("rouge1", "rouge2", "rougeL", "rougeLsum"), stemmer=True)
    assert_equal(pairs[5::10], ("rouge1", "rouge2", "rougeL", "rougeLsum"), stemmer=False)


@pytest.mark.long
@pytest.mark.parametrize("stemmer", [False, True])
def test_every_dialogue_of_mts_dialog_against_its_note(data: Path, *, stemmer: bool) -> None:
    assert_equal(mts_dialog(data), ("rouge1", "rouge2", "rougeL", "rougeLsum"), stemmer=stemmer)


WORDS = ("a", "b", "running", "runs", "news", "C", "d.e", "é", "\n", "İ", "\x00", "x1", "ﬁ", "\u2028", "K")


def test_twenty_thousand_random_pairs() -> None:
    dice = np.random.default_rng(20240101)
    pairs = [
        (draw(dice, WORDS, dice.integers(13)), draw(dice, WORDS, dice.integers(13))) for _ in range(20_000)
    ]
    assert_equal(pairs[:10_000], stemmer=False)
    assert_equal(pairs[10_000:], stemmer=True)


TEXT = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="ab \n", max_size=40),
    st.lists(st.sampled_from(WORDS), max_size=15).map(" ".join),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8), st.booleans())
def test_any_text(pairs: list[tuple[str, str]], stemmer: bool) -> None:  # noqa: FBT001 - hypothesis passes it by place
    assert_equal(pairs, stemmer=stemmer)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.text(alphabet="abc", max_size=7).map(" ".join), min_size=1, max_size=4).map("\n".join),
    st.lists(st.text(alphabet="abc", max_size=7).map(" ".join), min_size=1, max_size=4).map("\n".join),
)
def test_the_tie_rule_of_lsum(target: str, prediction: str) -> None:
    assert_equal([(target, prediction)], ("rougeLsum",), stemmer=False)


def test_of_several_references_the_first_with_the_largest_f() -> None:
    dice = np.random.default_rng(7)
    scorer = reference.RougeScorer(list(NAMES), use_stemmer=True)
    rows = [
        (
            draw(dice, WORDS, 8),
            [draw(dice, WORDS, dice.integers(10)) for _ in range(dice.integers(1, 5))],
        )
        for _ in range(400)
    ]
    found = rouge([own[0] for own in rows], [own[1] for own in rows], NAMES)
    for name in NAMES:
        wanted = [tuple(scorer.score_multi(references, text)[name]) for text, references in rows]
        np.testing.assert_allclose(found[name], np.array(wanted, np.float64), rtol=0, atol=1e-12)


def test_one_long_pair_whose_table_is_made_in_blocks() -> None:
    dice = np.random.default_rng(3)
    target, prediction = (draw(dice, "abcdefgh", 900) for _ in range(2))
    halves = target[:900] + "\n" + target[900:], prediction[:700] + "\n" + prediction[700:]
    assert_equal([halves], ("rougeL", "rougeLsum"), stemmer=False)
