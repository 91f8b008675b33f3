"""Explanations hold the score's own numbers: on random rows they equal `score_rows` to 1e-12."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.metrics.catalogue import catalogue
from tutelage.scoring.explain import (
    BleuExplanation,
    EqualityExplanation,
    FactsExplanation,
    InstructionsExplanation,
    NGramExplanation,
    OverlapExplanation,
    SubsequenceExplanation,
    TokenF1Explanation,
    explain,
    explain_corpus_metrics,
)

# fmt: off
WORDS = [
    "the", "a", "cat", "cats", "running", "runs", "run", "ran", "sat", "on", "mat.", "Mat,",
    "news", "fairly", "generalization", "é", "caf\u00e9", "cafe\u0301", "\u732b\u304c\u597d\u304d", "3.5", "x-y", "\u00bd", "\u0130stanbul", "the",
    "the", "!", "?",
]
# fmt: on
ROUGE = [f"rouge{n}" for n in (1, 2, 3, 9)] + ["rougeL", "rougeLsum"]
OTHERS = [
    *("accuracy", "exact_match", "squad_em", "token_f1", "bbh", "bbh:mode=direct"),
    *(
        f"{name}:smooth={way}"
        for name in ("bleu", "sentence_bleu")
        for way in ("exp", "none", "floor", "add-k")
    ),
    *("bleu:lowercase=true", "bleu:tokenize=zh", "bleu:tokenize=char"),
]


def draw(dice: np.random.Generator) -> str:
    joined = [
        WORDS[at] + str(dice.choice([" ", " ", "\n"]))
        for at in dice.integers(len(WORDS), size=dice.integers(12))
    ]
    return "".join(joined)


def draw_rows(count: int, seed: int) -> list[Row]:
    """Predictions that are alike or unlike one to four references."""
    dice = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        references = [draw(dice) for _ in range(dice.integers(1, 5))]
        prediction = draw(dice) if dice.random() < 0.6 else references[0]
        rows.append(Row(prediction, tuple(references)))
    return rows


def assert_equal(metric: str, rows: list[Row]) -> None:
    items = score_rows([metric], rows)[metric].items
    found = [explain(metric, row).value for row in rows]
    np.testing.assert_allclose(np.array(found, np.float64), items, rtol=0, atol=1e-12, err_msg=metric)


@pytest.mark.parametrize("stemmer", ["true", "false"])
@pytest.mark.parametrize("tokenizer", ["reference", "unicode", "cjk"])
@pytest.mark.parametrize("rest", ["", ":references=jackknife", ":measure=precision", ":measure=recall"])
def test_rouge_of_random_rows(stemmer: str, tokenizer: str, rest: str):
    rows = draw_rows(60, 1)
    for name in ROUGE:
        assert_equal(f"{name}:stemmer={stemmer}:tokenizer={tokenizer}{rest}", rows)


@pytest.mark.parametrize("metric", OTHERS)
def test_the_others_on_random_rows(metric: str):
    assert_equal(metric, draw_rows(200, 2))


@pytest.mark.parametrize("smooth", ["exp", "none", "floor", "add-k"])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_bleu_of_a_corpus(smooth: str, count: int):
    metric = f"bleu:smooth={smooth}"
    for seed in range(20):
        rows = draw_rows(count, seed)
        expected = score_rows([metric], rows)[metric].score.value
        found = explain_corpus_metrics([metric], rows)[0].explanation
        assert found.value == pytest.approx(expected, rel=0, abs=1e-12)
        assert found.rows == count


def test_precision_recall_and_f_are_those_of_the_reference_that_was_chosen():
    for row in draw_rows(60, 3):
        for name in ROUGE:
            told = explain(name, row)
            assert isinstance(told, OverlapExplanation)
            alone = Row(row.prediction, (row.references[told.chosen],))
            for measure in ("f", "precision", "recall"):
                metric = f"{name}:measure={measure}"
                expected = score_rows([metric], [alone])[metric].items[0]
                assert getattr(told.best, measure) == pytest.approx(expected, rel=0, abs=1e-12)
            assert told.best.f == max(own.f for own in told.shares)
            assert told.reference.text == row.references[told.chosen]
            assert told.prediction.text == row.prediction


def test_of_equally_good_references_the_first_is_chosen():
    told = explain("rouge1", Row("a b", ("x y", "a c", "b c")))
    assert isinstance(told, NGramExplanation)
    assert told.chosen == 1


def test_the_pieces_of_a_marked_text_are_the_text():
    for row in draw_rows(100, 4):
        for metric in ("rouge1", "rouge2", "rougeL:tokenizer=unicode", "rougeLsum:tokenizer=cjk", "token_f1"):
            told = explain(metric, row)
            assert isinstance(told, OverlapExplanation)
            for marked in (told.prediction, told.reference):
                assert "".join(text for _, text in marked.pieces()) == marked.text
                ends = [(mark.start, mark.end) for mark in marked.marks]
                assert all(a < b for a, b in ends)
                assert all(before[1] <= after[0] for before, after in pairwise(ends))


def test_the_counts_of_rouge_n_add_up():
    for row in draw_rows(60, 5):
        for n in (1, 2, 3):
            told = explain(f"rouge{n}", row)
            assert isinstance(told, NGramExplanation)
            assert sum(gram.matched for gram in told.grams) == told.best.matches
            assert sum(gram.prediction for gram in told.grams) == told.best.predicted
            assert sum(gram.reference for gram in told.grams) == told.best.reference_total


@pytest.mark.parametrize("metric", ["rouge1", "rougeL", "rougeLsum"])
def test_as_many_words_are_marked_in_both_texts_as_counted(metric: str):
    for row in draw_rows(200, 6):
        told = explain(metric, row)
        assert isinstance(told, OverlapExplanation)
        for marked in (told.prediction, told.reference):
            words = [text for kind, text in marked.pieces() if kind == "counted"]
            count = sum(len(_reference_tokens(text)) for text in words)
            assert count == told.best.matches, (row, marked)


def _reference_tokens(text: str) -> list[str]:
    return "".join(char if char.isascii() and char.isalnum() else " " for char in text.lower()).split()


def test_a_repeated_word_is_clipped():
    told = explain("rouge1", Row("the the the the the the the", ("The cat is on the mat",)))
    assert isinstance(told, NGramExplanation)
    (the,) = (gram for gram in told.grams if gram.forms == ("the",))
    assert (the.prediction, the.reference, the.matched, the.clipped) == (7, 2, 2, 5)
    assert list(told.prediction.pieces()) == [
        ("counted", "the the"),
        (None, " "),
        ("cut", "the the the the the"),
    ]
    assert [text for kind, text in told.reference.pieces() if kind] == ["The", "the"]
    assert (told.best.matches, told.best.predicted, told.best.reference_total) == (2, 7, 6)


def test_neighbouring_pairs_that_are_not_a_chain_have_marks_of_their_own():
    told = explain("rouge2", Row("a b c d", ("a b x c d",)))
    assert [text for kind, text in told.prediction.pieces() if kind] == ["a b", "c d"]  # type: ignore[attr-defined]
    told = explain("rouge2", Row("a b c d", ("a b c d",)))
    assert [text for kind, text in told.prediction.pieces() if kind] == ["a b c d"]  # type: ignore[attr-defined]


def test_the_stemmer_joins_forms_and_says_which():
    told = explain("rouge1", Row("Runs running", ("run",)))
    assert isinstance(told, NGramExplanation)
    assert told.grams[0].forms == ("runs", "running", "run")
    assert (told.grams[0].matched, told.grams[0].clipped) == (1, 1)


def test_the_longest_common_subsequence_is_marked_in_both_texts():
    told = explain("rougeL", Row("police ended the gunman", ("Police killed the gunman!",)))
    assert isinstance(told, SubsequenceExplanation)
    assert [text for kind, text in told.prediction.pieces() if kind] == ["police", "the gunman"]
    assert [text for kind, text in told.reference.pieces() if kind] == ["Police", "the gunman"]
    assert told.best.matches == 3


def test_by_lines_the_order_of_lines_does_not_matter():
    row = Row("b c\na d", ("a d\nb c",))
    whole, lines = explain("rougeL", row), explain("rougeLsum", row)
    assert isinstance(whole, SubsequenceExplanation)
    assert isinstance(lines, SubsequenceExplanation)
    assert (whole.best.matches, lines.best.matches) == (2, 4)
    assert lines.by_lines


def test_bleu_says_which_order_killed_it():
    told = explain("bleu", Row("the cat mat the on sat", ("the cat sat on the mat",)))
    assert isinstance(told, BleuExplanation)
    assert [(order.matches, order.total) for order in told.orders] == [(6, 6), (1, 5), (0, 4), (0, 3)]
    assert [order.smoothed for order in told.orders] == [False, False, True, True]
    assert told.main_loss == "order"
    assert told.worst is not None
    assert told.worst.n == 4
    # exp: the first order without a match counts as half a match of its 4, the second as a quarter of its 3
    assert [order.precision for order in told.orders] == pytest.approx([100, 20, 100 / 8, 100 / 12])
    assert (told.penalty, told.value) == (1, pytest.approx((100 * 20 * 100 / 8 * 100 / 12) ** 0.25))


def test_bleu_says_when_length_or_nothing_did_harm():
    row = Row("a b c d e", ("a b c d e f g h i j k l m n o p",))
    assert explain("bleu", row).main_loss == "length"  # type: ignore[attr-defined]
    assert explain("bleu", Row("a b c d", ("a b c d",))).main_loss == "nothing"  # type: ignore[attr-defined]
    for prediction in ("x y", ""):
        told = explain("bleu", Row(prediction, ("a b",)))
        assert isinstance(told, BleuExplanation)
        assert (told.value, told.main_loss) == (0.0, "no match")


def test_bleu_takes_the_closest_length_and_the_largest_count_of_several_references():
    told = explain("bleu", Row("a a b c", ("a x y", "a a x y z", "b")))
    assert isinstance(told, BleuExplanation)
    assert told.reference_length == 3
    assert {gram.forms[0]: (gram.prediction, gram.reference) for gram in told.orders[0].grams} == {
        "a": (2, 2),
        "b": (1, 1),
        "c": (1, 0),
    }


def test_bleu_leaves_out_the_orders_a_row_is_too_short_for_and_a_corpus_does_not():
    row = Row("a b c", ("a b c",))
    alone, corpus = explain("bleu", row), explain_corpus_metrics(["bleu"], [row])[0].explanation
    assert isinstance(alone, BleuExplanation)
    assert (alone.value, corpus.value) == (pytest.approx(100), 0)
    assert [order.counts for order in alone.orders] == [True, True, True, False]
    assert [order.counts for order in corpus.orders] == [True] * 4
    assert corpus.worst is not None
    assert corpus.worst.n == 4


def test_equality_shows_the_texts_that_were_compared():
    told = explain("squad_em", Row("The  Cat!", ("a dog", "cat")))
    assert isinstance(told, EqualityExplanation)
    assert (told.prediction, told.references, told.equal, told.value) == ("cat", ("dog", "cat"), 1, 1.0)
    told = explain("bbh", Row("So the answer is (B).", (" (B) ",)))
    assert isinstance(told, EqualityExplanation)
    assert (told.prediction, told.equal) == ("(B)", 0)
    assert explain("accuracy", Row(" no", ("yes",))).value == 0
    assert explain("accuracy", Row("no", ())).value == 0


def test_token_f1_shows_the_words_of_the_normalised_texts():
    told = explain("token_f1", Row("The cat, the cat!", ("dog", "A cat sat")))
    assert isinstance(told, TokenF1Explanation)
    assert told.chosen == 1
    assert told.prediction.text == "cat cat"
    assert list(told.prediction.pieces()) == [("counted", "cat"), (None, " "), ("cut", "cat")]
    assert [(gram.forms, gram.prediction, gram.reference) for gram in told.grams] == [
        (("cat",), 2, 1),
        (("sat",), 0, 1),
    ]


@pytest.mark.parametrize(
    ("prediction", "references"), [("", ("",)), ("the", ("a",)), ("x", ("",)), ("", ("x",)), ("x", ())]
)
def test_token_f1_of_empty_sides(prediction: str, references: tuple[str, ...]):
    assert_equal("token_f1", [Row(prediction, references)])


def facts(prediction: str, **fields: Any) -> Row:
    told = {"must_contain": ["blue", "two"], "must_not_contain": ["red"], "refusal": ["cannot say"], **fields}
    return Row(prediction, (), told)


def test_stated_facts_show_what_was_found():
    told = explain("states_fact", facts("Two blue and a red one"))
    assert isinstance(told, FactsExplanation)
    assert [(own.text, own.present) for own in told.must] == [("blue", True), ("two", True)]
    assert [(own.text, own.present) for own in told.must_not] == [("red", True)]
    assert told.value == 0
    assert explain("states_fact", facts("Two blue ones")).value == 1
    assert explain("wrongly_refuses", facts("I cannot say")).value == 1
    assert explain("rightly_refuses", facts("I cannot say", answerable=False)).value == 1


def test_a_row_that_the_metric_does_not_count_has_no_value():
    assert explain("states_fact", facts("blue", answerable=False)).value is None
    assert explain("rightly_refuses", facts("blue")).value is None


def test_a_metric_without_an_explanation_names_those_that_have_one():
    with pytest.raises(InputError, match="has no explanation") as caught:
        explain("chrf", Row("a", ("a",)))
    assert caught.value.expected is not None
    assert {"rouge1", "rougeLsum", "bleu", "token_f1", "states_fact"} <= set(
        caught.value.expected.removeprefix("one of ").split(", ")
    )
    assert "chrf" not in caught.value.expected


@pytest.mark.parametrize(
    "name",
    [name for name, entry in catalogue().items() if entry.implementation in {"rouge", "exact", "bleu"}],
)
def test_every_metric_of_a_family_is_explained(name: str):
    assert explain(name, Row("a b c", ("a b c",))).value == pytest.approx(
        0 if name[5:].isdigit() and int(name[5:]) > 3 else 100 if name == "bleu" else 1
    )


def test_a_groups_name_and_a_row_without_references_are_refused():
    with pytest.raises(InputError, match="several metrics"):
        explain("rouge", Row("a", ("a",)))
    for metric in ("rouge1", "bleu"):
        with pytest.raises(InputError, match="needs a reference"):
            explain(metric, Row("a", ()))
    assert explain_corpus_metrics(["sentence_bleu", "rouge1"], [Row("a", ("a",))]) == ()


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("ifeval_prompt_strict", 0.0),
        ("ifeval_instruction_strict", 0.5),
        ("ifeval_prompt_loose", 1.0),
        ("ifeval_instruction_loose", 1.0),
    ],
)
def test_ifeval_shows_each_instruction_with_its_verdict(metric: str, value: float):
    fields: dict[str, Any] = {
        "instruction_id_list": ["punctuation:no_comma", "keywords:existence"],
        "kwargs": [{}, {"keywords": ["sea", "wind"]}],
    }
    row = Row("Sure, here it is:\nThe sea and the wind.", ("",), fields)
    explanation = explain(metric, row)
    assert isinstance(explanation, InstructionsExplanation)
    assert explanation.value == value == score_rows([metric], [row])[metric].score.value
    verdicts = {verdict.text: verdict.followed for verdict in explanation.instructions}
    assert verdicts == {
        "punctuation:no_comma": metric.endswith("loose"),
        "keywords:existence (keywords: sea, wind)": True,
    }


@pytest.mark.parametrize("rule", ["strict", "cot", "flexible", "last"])
@pytest.mark.parametrize("prediction", ["#### 18", "The answer is 18.", "$18.00", "none", ""])
def test_gsm8k_shows_the_number_that_was_compared(rule: str, prediction: str):
    metric, row = f"gsm8k:extract={rule}", Row(prediction, ("So 17 and 1.\n#### 18",))
    explanation = explain(metric, row)
    assert isinstance(explanation, EqualityExplanation)
    assert explanation.references == ("18",)
    assert explanation.value == score_rows([metric], [row])[metric].score.value
    assert explanation.form.endswith("there is none") == (explanation.prediction == "")
