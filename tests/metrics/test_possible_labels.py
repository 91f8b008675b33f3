"""Metrics of generated labels, where an answer may be no label: T5's rules, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.metrics.referents import names

LABELS = ["no", "yes", "maybe"]


def value(metric, rows):
    return score_rows([metric], rows)[metric].score.value


def drawn(labels, count=200, seed=4):
    """Right labels and answers, of which some are no label, in several spellings."""
    rng = np.random.default_rng(seed)
    true = rng.choice(labels, count)
    answers = [
        str(rng.choice(["", "unsure", "yes and no"]))
        if rng.random() < 0.2
        else str(rng.choice([label, *labels]))
        for label in true
    ]
    rows = [
        Row(answer, (str(label),), {"labels": list(labels)})
        for answer, label in zip(answers, true, strict=True)
    ]
    return rows, list(map(str, true)), answers


def test_binary_f1_counts_an_answer_that_is_no_label_as_the_wrong_class():
    rows, true, answers = drawn(LABELS[:2])
    other = {"no": "yes", "yes": "no"}
    replaced = [
        answer if answer in other else other[label] for answer, label in zip(answers, true, strict=True)
    ]
    expected = f1_score(true, replaced, pos_label="yes")
    assert value("label_f1:average=binary:positive=yes", rows) == pytest.approx(expected)
    assert value("f1:average=binary:positive=yes", rows) > expected


def test_macro_f1_is_over_the_labels_alone():
    rows, true, answers = drawn(LABELS)
    expected = f1_score(true, answers, labels=LABELS, average="macro")
    assert value("label_f1", rows) == pytest.approx(expected)
    assert value("f1", rows) < expected


def test_mcc_has_one_class_for_all_answers_that_are_no_label():
    rows, true, answers = drawn(LABELS)
    merged = [answer if answer in LABELS else "-" for answer in answers]
    assert value("label_mcc", rows) == pytest.approx(matthews_corrcoef(true, merged))
    assert value("label_mcc", rows) != pytest.approx(value("mcc", rows))


def test_the_share_of_valid_labels_counts_wrong_ones_too():
    rows = [Row(answer, ("yes",), {"labels": LABELS}) for answer in ("no", " yes ", "unsure", "")]
    assert value("valid_label", rows) == 0.5


@pytest.mark.parametrize("metric", ["label_f1", "label_mcc", "valid_label"])
def test_without_the_possible_labels_nothing_is_scored(metric):
    with pytest.raises(InputError, match="cannot be checked against its labels") as error:
        score_rows([metric], [Row("yes", ("yes",), {"labels": "yes, no"})])
    assert error.value.expected == "a list of texts"


def test_a_wrong_class_needs_a_second_label():
    rows = [Row("unsure", ("yes",), {"labels": ["yes"]})]
    with pytest.raises(InputError, match="needs two labels") as error:
        score_rows(["label_f1:average=binary:positive=yes"], rows)
    assert error.value.where == "row 1, field labels"


@pytest.mark.parametrize(
    ("answer", "noun", "is_named"),
    [
        ("The old dog", "the dog", True),
        ("dog", "the old Dog", True),
        ("cat", "the dog", False),
        ("Ann's", "Ann", False),
        ("Ann's dog", "Ann's", True),
        ("", "the dog", False),
        ("the", "the dog", False),
    ],
)
def test_a_noun_is_named_by_some_of_its_words_or_more(answer, noun, is_named):
    assert names(answer, noun) is is_named


def test_the_noun_must_be_named_just_where_the_pronoun_refers_to_it():
    rows = [
        Row(answer, (verdict,), {"referent": "the old dog"})
        for answer, verdict in [("dog", "1"), ("dog", "0"), ("cat", "0"), ("cat", "1")]
    ]
    assert score_rows(["names_referent"], rows)["names_referent"].items.tolist() == [1, 0, 1, 0]
    with pytest.raises(InputError, match="needs the noun"):
        score_rows(["names_referent"], [Row("dog", ("1",), {})])


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_equal_answers_correlate_with_nothing_where_that_is_stated(metric):
    rows = [Row("1", (str(number),)) for number in range(9)]
    score = score_rows([f"{metric}:invalid=-1:constant=0"], rows)[f"{metric}:invalid=-1:constant=0"].score
    assert score.low < score.value == 0 < score.high
    assert "|constant:0|" in score.signature
    assert np.isnan(value(f"{metric}:invalid=-1", rows))
    rows = [Row(str((number * 7) % 9), (str(number),)) for number in range(9)]
    assert value(f"{metric}:invalid=-1:constant=0", rows) == value(f"{metric}:invalid=-1", rows)
