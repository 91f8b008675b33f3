"""Kinds of newly wrong items: what fits each kind, what does not, and which of several kinds counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.comparison import languages, lost_items, stated_answers
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.results.store import Item, Store

GERMAN = "Das ist eine ziemlich einfache Frage, denn die Hauptstadt liegt an der Seine."
ENGLISH = "That is a rather simple question, because the capital lies on the river Seine."


def kind(text, *, reference="Paris", base="Paris", finish="stop", rivals=(), prompt="Which city?", **fields):
    item = Item("a", "", prompt, (reference,), fields)
    return lost_items.kind_of(
        item, Response("a", base, "stop", 3), Response("a", text, finish, 9), rivals=rivals
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Paris Paris Paris", "never stopped"),
        ("I am sorry, but I cannot say.", "never stopped"),
    ],
)
def test_what_is_cut_off_never_stopped_whatever_else_it_is(text, expected):
    assert kind(text, finish="length") == expected


def test_an_answer_that_the_base_did_not_end_either_is_judged_by_its_text():
    item = Item("a", "", "Which city?", ("Paris",))
    base, tuned = Response("a", "Paris", "length", 3), Response("a", "London", "length", 3)
    assert lost_items.kind_of(item, base, tuned) == "wrong"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can only talk about kettles.",
        "I don\N{RIGHT SINGLE QUOTATION MARK}t know. Perhaps Paris?",
        "I DO NOT  know.",
    ],
)
def test_a_refusal_counts_also_where_it_names_the_answer(text):
    assert kind(text) == "refused"


def test_a_row_can_bring_phrases_of_its_own():
    assert kind("No comment.", refusal=["no comment"]) == "refused"
    assert kind("No comment.") == "wrong"


def test_a_phrase_that_the_right_answer_has_is_no_refusal():
    refusal = "I do not know that."
    assert kind("I do not know the city.", reference=refusal, base=refusal) == "wrong"
    assert (
        kind("I cannot help with that; unknown", reference="unknown", base="I do not know: unknown")
        != "refused"
    )


def test_another_script_is_another_language_at_any_length():
    assert kind("Париж") == "other language"
    assert kind("Париж", prompt="Какой город?", base="Париж Paris") == "wrong"
    assert kind("東京です。", prompt="首都は?") == "wrong"  # kana and kanji are one writing
    assert kind("17 + 4", prompt="Какой?", reference="Париж", base="Париж") == "wrong"  # no letters


def test_languages_of_latin_script_are_told_apart_in_longer_texts_only():
    assert kind(GERMAN, prompt=ENGLISH) == "other language"
    assert kind(GERMAN, prompt="Which city?") == "wrong"  # nothing long enough to compare with
    assert kind("Das ist eine Frage", prompt=ENGLISH) == "wrong"
    hashtags = "#GreenHeritage #SustainableGardening #UrbanGardening #GreenHeritage"
    question = "Write a hashtag about gardening."  # too short to accuse, long enough to excuse
    answer = "For your garden we give you the hashtag: Larkspoke."
    assert kind(answer, prompt=question, reference="#gardening", base=hashtags) == "wrong"
    assert kind(ENGLISH, prompt=ENGLISH) == "wrong"
    assert (
        kind(GERMAN, prompt=f"Translate: {ENGLISH}", reference=GERMAN, base="Das ist es.") != "other language"
    )


def test_without_langdetect_only_scripts_are_compared(monkeypatch):
    monkeypatch.setattr(languages, "detector_is_installed", lambda: False)
    assert kind(GERMAN, prompt=ENGLISH) == "wrong"
    assert kind("Париж", prompt=ENGLISH) == "other language"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("The answer is Paris, of course.", "Paris"),
        ("it is 'the blue one'", "Blue one"),
        ("The sum is 1,250.", "1250"),
        ("12 + 30 = 42", "42"),
        ("It costs $3.50 in all", "3.5"),
        ("That makes 18 eggs.", "She has 9 and 9 eggs.\n#### 18"),
        ("The answer is B.", "B"),
        ("A: since it is", "A"),
    ],
)
def test_a_right_answer_in_another_form_is_a_broken_format(text, reference):
    assert kind(text, reference=reference) == "format broken"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("The answer is London.", "Paris"),
        ("Parisians know it", "Paris"),
        ("It costs 3.50", "35"),
        ("It costs 19.50", "19"),
        ("It is 2500", "250"),
        ("A dog barks", "A"),
        ("Because", "B"),
        ("", "Paris"),
        ("For autumn we keep the signpost open.", "#autumn"),  # the sign is the form that was asked for
        ("anything", "the"),  # nothing is left of it in its normal form
    ],
)
def test_an_answer_without_the_right_one_is_wrong(text, reference):
    assert kind(text, reference=reference) == "wrong"


def test_with_choices_the_right_one_must_be_the_only_one():
    choices = {"choices": ["positive", "negative"]}
    assert kind("It is positive.", reference="positive", **choices) == "format broken"
    assert kind("It is neither positive nor negative.", reference="positive", **choices) == "wrong"
    assert kind("It is negative.", reference="positive", **choices) == "wrong"
    assert kind("I like it.", reference="positive", labels=["positive", "negative"]) == "format broken"
    assert kind("I like it.", reference="positive", rivals=("positive", "negative")) == "wrong"
    assert kind("positive or negative", reference="positive", rivals=("positive", "negative")) == "wrong"


def test_parts_with_few_answers_choose_between_them():
    items = [
        *(Item(f"y{n}", "yes-no", "", (["yes", "no"][n % 2],)) for n in range(6)),
        *(Item(f"w{n}", "words", "", (f"word {n}",)) for n in range(6)),
        *(Item(f"f{n}", "few", "", (f"word {n}",)) for n in range(3)),
        *(Item(f"s{n}", "same", "", ("yes",)) for n in range(9)),
    ]
    assert stated_answers.closed_sets(items) == {"yes-no": ("yes", "no")}


def test_the_likeliest_of_choices_is_wrong_and_nothing_else():
    item = Item("a", "", "Which?", ("Paris",), {"choices": ["Paris", "Rome"]})
    base, tuned = (
        Response("a", text, "choice", 1, choice=n, logprobs=(-1.0, -2.0), lengths=(1, 1))
        for n, text in enumerate(["Paris", "Rome"])
    )
    assert lost_items.kind_of(item, base, tuned) == "wrong"


def fill(store: Store, model: str, answers: list[str], *, metrics: tuple[str, ...]) -> None:
    items = [Item(f"i{n}", "", "Which city?", ("Paris",)) for n in range(len(answers))]
    evaluation = store.evaluation(
        model=model, suite="benchmark", name="cities", fingerprint=model, provenance={"by": "a test"}
    )
    evaluation.declare(items)
    evaluation.add([Response(item.id, text, "stop", 2) for item, text in zip(items, answers, strict=True)])
    rows = [Row(text, item.references) for item, text in zip(items, answers, strict=True)]
    evaluation.write_scores("", score_rows(list(metrics), rows), primary=metrics[0])


def test_the_items_of_a_run_are_grouped_and_those_newly_right_counted(tmp_path: Path):
    with Store.open(tmp_path / "results.sqlite") as store:
        fill(store, "base", ["Paris", "Paris", "Paris", "Rome"], metrics=("rougeL", "accuracy"))
        fill(store, "tuned", ["It is Paris.", "Rome", "Paris", "Paris"], metrics=("rougeL", "accuracy"))
        lost = lost_items.of_benchmark(store, "cities")
        assert lost_items.of_benchmark(store, "another") is None
    assert lost is not None
    assert lost.metric == "accuracy"  # the primary one grades
    assert lost.kinds == {
        "never stopped": (), "refused": (), "other language": (), "format broken": ("i0",), "wrong": ("i1",),
    }  # fmt: skip
    assert lost.newly_right == ("i3",)
    assert lost.newly_wrong == ("i0", "i1")
    assert lost_items.sentence("cities", lost.as_json()) == (
        "cities: 2 newly wrong: 1 format broken, 1 wrong; 1 newly right"
    )


def test_where_nothing_says_right_or_wrong_nothing_is_lost(tmp_path: Path):
    with Store.open(tmp_path / "results.sqlite") as store:
        for model in ("base", "tuned"):
            fill(store, model, ["Paris", "Rome"], metrics=("rougeL",))
        assert lost_items.of_benchmark(store, "cities") is None


def test_a_sentence_of_no_losses():
    lost = {"kinds": {"wrong": []}, "newly_right": []}
    assert lost_items.sentence("probe", lost) == "probe: none newly wrong; none newly right"
