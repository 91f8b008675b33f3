from __future__ import annotations

import json
import re

import pytest

from tutelage.cli import console
from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.scoring.explain import (
    explain,
    explain_corpus_metrics,
    explain_rows,
    explanation_text,
    phrasing,
)

CAT = Row("the the the the the the the", ("The cat is on the mat",))
FACT = Row("It costs 12 euros.", (), {"must_contain": ["12 euros", "month"], "must_not_contain": ["15"]})


def told(metric: str, row: Row) -> str:
    return explanation_text(explain_rows([metric], [row]))


def test_the_classic_of_clipping_reads_so():
    assert told("rouge1", CAT) == (
        "[this] counted, {this} was cut by clipping\n"
        "\n"
        "Line 1, rouge1 = 0.3077 (F)\n"
        "  prediction     [the the] {the the the the the}\n"
        "  reference      [The] cat is on [the] mat\n"
        "  score          precision 2/7 = 0.2857, recall 2/6 = 0.3333, F = 0.3077\n"
        "  matched        the x2 (7 in the prediction, 2 in the reference: 5 cut)\n"
        "  only here      nothing\n"
        "  missing        cat, is, on, mat"
    )


def test_bleu_reads_so():
    row = Row("the cat mat the on sat", ("the cat sat on the mat",))
    assert told("bleu:smooth=exp", row).splitlines()[2:] == [
        "Line 1, bleu:smooth=exp = 21.3644 (this row alone)",
        "  prediction     [the cat mat the on sat]",
        "  reference      the cat sat on the mat",
        "  order 1        6 of 6 matched          precision 100.00",
        "  order 2        1 of 5 matched          precision  20.00",
        "  order 3        0 of 4 matched          precision  12.50  smoothed",
        "  order 4        0 of 3 matched          precision   8.33  smoothed",
        "  brevity        1: 6 tokens, and the reference has 6",
        "  so             1.0000 x (100.00 x 20.00 x 12.50 x 8.33)^(1/4) = 21.3644",
        (
            "                 Order 4 did most harm: it alone multiplies BLEU by 0.5373. "
            "Nothing of orders 3 and 4 matched: without smoothing (exp) BLEU would be 0."
        ),
    ]


@pytest.mark.parametrize(
    ("metric", "prediction", "reference", "said"),
    [
        ("bleu", "x", "a b", "No n-gram of any order matched"),
        ("bleu", "a b c d e", "a b c d e f g h i", "The length did most harm"),
        ("bleu", "a b c d", "a b c d", "Nothing was lost"),
        ("bleu", "a b c", "a b c", "too short for it: left out"),
        ("bleu:smooth=none", "a b x c d", "a b y c d", "Order 3 killed it: none of its 3 matched"),
        ("bleu", "a b", "a b c d", "exp(1 - 4/2) = 0.3679: 2 tokens, fewer than the reference's 4"),
        ("bleu", "", "a b c d", "0: no tokens"),
    ],
)
def test_bleu_names_what_killed_it(metric: str, prediction: str, reference: str, said: str):
    assert said in told(metric, Row(prediction, (reference,)))


def test_a_corpus_is_explained_as_a_whole():
    rows = [CAT, Row("The cat is on the mat", ("The cat is on the mat",))]
    whole = explain_corpus_metrics(["rouge", "bleu"], rows)
    assert [one.line for one in whole] == [None]
    text = explanation_text(whole)
    assert f"All 2 rows together, bleu = {score_rows(['bleu'], rows)['bleu'].score.value:.4f}" in text
    assert explain_corpus_metrics(["rouge1"], rows) == ()
    assert "Order 3 killed it: there is no 3-gram" in explanation_text(
        explain_corpus_metrics(["bleu"], [Row("a b", ("a b",))])
    )


def test_several_references_say_which_and_why():
    row = Row("a b c", ("a x", "a b x", "z"))
    assert "  reference 2    [a b] x\n" in told("rouge1", row)
    assert "F by reference: 0.4000, 0.6667, 0.0000; the largest is shown" in told("rouge1", row)
    assert "the value is the jackknife's mean" in told("rouge1:references=jackknife", row)


def test_rouge_l_marks_the_subsequence_and_says_its_length():
    text = told("rougeL", Row("the gunman killed police", ("police killed the gunman",)))
    assert "  prediction     [the gunman] killed police\n" in text
    assert "  reference      police killed [the gunman]\n" in text
    assert "2 words in the same order in both texts" in text
    lines = told("rougeLsum", Row("b c\na d", ("a d\nb c",)))
    assert "  prediction     [b c]\n                 [a d]\n" in lines
    assert "4 words in common, line by line" in lines


def test_equality_says_where_the_texts_part():
    text = told("accuracy", Row("Paris.", ("Paris",)))
    assert 'from character 6 on "." stands for the end of the reference' in text
    assert "equal to reference 2" in told("accuracy", Row("no", ("yes", "no")))
    assert "so             equal" in told("squad_em", Row("The no!", ("no",)))
    assert "there is no reference" in told("accuracy", Row("no", ()))


def test_facts_list_what_was_found():
    text = told("states_fact", FACT)
    assert "must have      found      12 euros" in text
    assert "must have      not found  month" in text
    assert "must not have  not found  15" in text
    assert "[this]" not in text
    unanswerable = Row("no", (), {"must_contain": [], "answerable": False})
    assert "states_fact = not counted" in told("states_fact", unanswerable)


def test_brackets_are_ones_that_the_texts_do_not_have():
    text = told("rouge1", Row("a [b] {c}", ("a",)))
    assert "  prediction     [[a]] [b] {c}\n" in text
    assert text.startswith("[[this]] counted, {{this}} was cut")
    assert "[[[[a]]]]" in told("rouge1", Row("a [[[b]]]", ("a",)))


HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07x",
    "\x9b2Jx",
    "a\rb",
    "\u202egnp",
    "\x1b",
    "\x00a",
    "\ud800",
    "a\u2028b",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_terminal_obeys_comes_through_and_no_mark_is_swallowed(text: str):
    """A mark that stood behind an escape would be eaten with it by what strips the terminal's text."""
    row = Row(f"{text}the cat", (f"{text}the cat",), {**FACT.fields, "must_contain": [f"x{text}"]}, task=text)
    metrics = ["rouge1", "rouge2", "rougeL", "bleu", "token_f1", "accuracy", "squad_em", "states_fact"]
    shown = explanation_text(explain_rows(metrics, [row]))
    assert console.plain(shown) == shown
    assert re.search(r"\[+[^\[]*cat\]", shown)
    shown.encode("utf-8")


def test_long_lists_are_cut_and_say_so():
    row = Row(" ".join(f"w{n}" for n in range(40)), ("x",))
    assert f"w{phrasing.MOST_GRAMS - 1}, and {40 - phrasing.MOST_GRAMS} more" in told("rouge1", row)


def test_rows_keep_their_lines_and_tasks():
    found = explain_rows(["rouge"], [Row("a", ("a",), task="one"), Row("b", ("a",))], [3, 7])
    assert [(one.line, one.task, one.explanation.metric) for one in found][3:5] == [
        (3, "one", "rougeLsum"),
        (7, "", "rouge1"),
    ]
    assert found[0].title == "Line 3 (one)"


def test_mistakes_name_file_and_line_or_the_metric():
    with pytest.raises(InputError) as caught:
        explain_rows(["states_fact"], [FACT, Row("x", ())], [1, 4], shown="rows.jsonl")
    assert caught.value.where == "rows.jsonl:4, field answerable"
    with pytest.raises(InputError, match="has no explanation") as caught:
        explain_rows(["rouge1", "ter"], [CAT])
    assert caught.value.where == "metric 'ter'"


def test_the_document_is_json_and_holds_the_value():
    row = Row("the cat cat", ("the cat",), FACT.fields)
    metrics = ["rouge1", "rougeL", "bleu", "accuracy", "token_f1", "states_fact"]
    document = [one.as_json() for one in explain_rows(metrics, [row])]
    again = json.loads(json.dumps(document, allow_nan=False))
    assert [one["kind"] for one in again] == ["ngrams", "subsequence", "bleu", "answers", "words", "facts"]
    assert again[0]["value"] == explain("rouge1", row).value
    assert again[0]["prediction"]["marks"][1] == {"start": 8, "end": 11, "kind": "cut"}
    assert explain_corpus_metrics(["bleu"], [row])[0].as_json()["line"] is None


def test_instructions_read_so():
    fields = {
        "instruction_id_list": ["punctuation:no_comma", "startend:end_checker"],
        "kwargs": [{}, {"end_phrase": "Bye."}],
    }
    assert told("ifeval_instruction_strict", Row("It rained, too. Bye.", ("",), fields)) == (
        "Line 1, ifeval_instruction_strict = 0.5000\n"
        "  prediction     It rained, too. Bye.\n"
        "  not followed   punctuation:no_comma\n"
        "  followed       startend:end_checker (end_phrase: Bye.)"
    )
