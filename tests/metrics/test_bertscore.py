"""BERTScore on vectors that are written by hand; tests/parity/test_bertscore.py compares real encoders."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, bertscore, score_rows
from tutelage.metrics.catalogue import check_scores_answers, parse

VECTORS = {"": (1.0, 0.0), "cat": (0.6, 0.8), "dog": (0.8, 0.6), "mat": (0.0, 1.0), "sky": (0.28, -0.96)}
IDS = {word: number for number, word in enumerate(VECTORS)}


class Words:
    """An encoder whose vectors depend on the word alone, with one marker before each text."""

    fingerprint = "f" * 64
    layer = 7
    markers = frozenset({0})

    def __init__(self):
        self.passes = []

    def token_ids(self, texts):
        return [(0, *(IDS[word] for word in text.split())) for text in texts]

    def vectors(self, ids):
        self.passes.append(sum(map(len, ids)))
        table = np.array(list(VECTORS.values()), np.float32)
        return [table[list(text)] for text in ids]


@pytest.fixture
def words(monkeypatch):
    encoder = Words()
    monkeypatch.setattr(bertscore, "text_encoder", lambda *_: encoder)
    return encoder


def scores(rows, options=""):
    names = [f"bertscore_{measure}:model=words{options}" for measure in ("precision", "recall", "f1")]
    by_name = score_rows(names, rows)
    return [by_name[name] for name in names]


@pytest.mark.usefixtures("words")
def test_each_token_counts_with_its_nearest_token_of_the_other_text():
    precision, recall, f1 = scores([Row("cat", ("dog mat",))])
    # The cat is nearest to the dog (0.96); the mat is nearest to the cat (0.8). The markers have no weight.
    assert precision.score.value == pytest.approx(0.96)
    assert recall.score.value == pytest.approx((0.96 + 0.8) / 2)
    assert f1.score.value == pytest.approx(2 * 0.96 * 0.88 / 1.84, abs=1e-6)
    assert f1.score.signature.startswith("bertscore_f1|idf:false|version:")
    assert f"|encoder:{'f' * 16}|layer:7|ci:" in f1.score.signature


@pytest.mark.usefixtures("words")
def test_a_token_may_be_nearest_to_a_marker():
    precision, _, _ = scores([Row("sky", ("mat",))])
    assert precision.score.value == pytest.approx(0.28)


@pytest.mark.usefixtures("words")
def test_of_several_references_each_measure_takes_its_best_one():
    precision, recall, _ = scores([Row("cat", ("dog mat", "mat"))])
    assert precision.score.value == pytest.approx(0.96)
    assert recall.score.value == pytest.approx(0.88)


@pytest.mark.usefixtures("words")
def test_rare_tokens_of_the_references_weigh_more():
    rows = [Row("dog mat", ("cat mat",)), Row("mat", ("mat",)), Row("sky", ("cat mat",))]
    precision, recall, _ = scores(rows, ":idf=true")
    everywhere, twice, nowhere = math.log(4 / 4), math.log(4 / 3), math.log(4)
    assert precision.items[0] == pytest.approx((nowhere * 0.96 + everywhere * 1) / nowhere, abs=1e-6)
    assert recall.items[0] == pytest.approx((twice * 0.96 + everywhere * 1) / twice, abs=1e-6)
    assert recall.items[1] == 0, "a text without weight counts 0"


@pytest.mark.usefixtures("words")
def test_weights_of_other_references_are_another_metric():
    rows = [Row("dog mat", ("cat mat",)), Row("mat", ("mat",))]
    signatures = {scores(some, ":idf=true")[0].score.signature for some in (rows, rows[:1], rows[::-1])}
    assert len(signatures) == 2, "the order of rows changes nothing"


@pytest.mark.usefixtures("words")
def test_an_empty_text_scores_nothing():
    precision, recall, f1 = scores([Row("", ("cat",)), Row("cat", ("",)), Row("cat", ("cat",))])
    for measure in (precision, recall, f1):
        assert measure.items.tolist() == [0, 0, 1]


def test_vectors_are_held_for_a_bounded_number_of_tokens(words, monkeypatch):
    rows = [Row("cat " * count, ("dog " * (count + 1),)) for count in range(1, 12)]
    together = [measure.items for measure in scores(rows)]
    assert len(words.passes) == 1
    words.passes.clear()
    monkeypatch.setattr(bertscore, "_CHUNK_TOKENS", 30)
    apart = [measure.items for measure in scores(rows)]
    assert np.array_equal(together, apart)
    assert len(words.passes) > 3
    assert max(words.passes) <= 30


def test_a_name_without_an_encoder_is_refused():
    for check in (check_scores_answers, lambda text: score_rows([text], [Row("a", ("b",))])):
        with pytest.raises(InputError, match="needs an encoder"):
            check("bertscore_f1")
    assert parse("bertscore_f1").entry.needs_model


@pytest.mark.usefixtures("words")
def test_a_row_without_reference_is_refused():
    with pytest.raises(InputError, match="needs a reference"):
        scores([Row("cat", ())])
