from __future__ import annotations

import pytest

from tutelage.metrics import Row
from tutelage.report import highlighting


def marked(pieces):
    return [text for is_marked, text in pieces.parts if is_marked]


def test_the_metrics_own_marks_are_used():
    told = highlighting.explain_answer(
        highlighting.explaining_metrics(["rouge2"]), Row("a red cat sat", ("the red cat ran",))
    )
    assert marked(told.prediction) == marked(told.reference) == ["red cat"]
    assert told.sentences == (("ROUGE-2", "precision 1/3 = 0.3333, recall 1/3 = 0.3333, F = 0.3333."),)


def test_words_in_common_are_marked_where_the_metrics_mark_nothing():
    metrics = highlighting.explaining_metrics(["accuracy", "exact_match"])
    told = highlighting.explain_answer(metrics, Row("Мы едем завтра утром", ("мы едем домой утром", "no")))
    assert marked(told.prediction) == ["Мы едем", "утром"]
    assert [label for label, _ in told.sentences] == ["Accuracy", "Exact match", "Words in common"]


def test_a_reference_of_one_word_is_not_marked():
    told = highlighting.explain_answer(highlighting.explaining_metrics(["accuracy"]), Row("yes", ("yes",)))
    assert (told.reference, marked(told.prediction)) == (None, [])
    assert [label for label, _ in told.sentences] == ["Accuracy"]


def test_several_references_say_which_one_was_taken():
    told = highlighting.explain_answer(("rougeL",), Row("b c d", ("x y", "b c d")))
    assert told.reference_index == 1
    assert marked(told.reference) == ["b c d"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("It costs 5 crowns.", "Must have: “5 crowns” found."),
        ("It is free.", "Must have: “5 crowns” not found."),
    ],
)
def test_facts_say_what_was_looked_for(answer, said):
    fields = {"must_contain": ["5 crowns"], "must_not_contain": [], "answerable": True, "refusal": ["sorry"]}
    told = highlighting.explain_answer(("states_fact",), Row(answer, ("It costs 5 crowns.",), fields))
    assert told.sentences == (("States the fact", said),)


def test_clipping_is_said():
    told = highlighting.explain_answer(("rouge1",), Row("the the the cat", ("the cat",)))
    assert told.sentences[1] == ("ROUGE-1", "Clipped: the (3 in the prediction, 1 in the reference: 2 cut).")


def test_a_long_text_is_cut_within_its_marks_and_said_to_be():
    text = "word " * 1000
    pieces = highlighting.explain_answer(("rougeL",), Row(text, (text,))).prediction
    assert pieces.cut == 5000
    assert sum(len(piece) for _, piece in pieces.parts) == 2000
    assert not highlighting.plain("x").empty
    assert highlighting.plain(" \n").empty


def test_instructions_say_which_are_followed():
    fields = {"instruction_id_list": ["punctuation:no_comma", "startend:quotation"], "kwargs": [{}, {}]}
    explained = highlighting.explain_answer(
        ("ifeval_prompt_strict",), Row('"It rained, too."', ("",), fields)
    )
    label = "IFEval by prompt, strict"
    assert explained.sentences[:2] == (
        (label, "Followed: startend:quotation."),
        (label, "Not followed: punctuation:no_comma."),
    )
