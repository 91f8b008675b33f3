"""The bundled probe itself: what its spec says of its items holds for every one of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from tutelage import benchmarks
from tutelage.benchmarks.extraction import rule

CHOICES = ("knowledge", "arithmetic", "spelling", "sentiment", "entailment")
FOLDER = Path(benchmarks.__file__).parent / "library" / "general-probe"


@pytest.fixture(scope="module")
def probe():
    return benchmarks.load("general-probe")


@pytest.fixture(scope="module")
def rows():
    """The items as they stand in the file, by part."""
    found: dict[str, list[dict]] = {}
    for line in (FOLDER / "items.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["part"], []).append(row)
    return found


def folded(text):
    """A text for comparing: case and space do not count."""
    return " ".join(text.split()).casefold()


def test_there_are_six_parts_and_at_least_400_items(probe):
    assert probe.parts == (*CHOICES, "format")
    assert len(probe.items) >= 400
    counts = Counter(item.part for item in probe.items)
    assert min(counts.values()) >= 60  # a part that is much smaller could show no loss


def test_ids_are_unique_here_and_among_the_development_items(probe):
    development = benchmarks.load("general-probe:development")
    ids = [item.id for item in (*probe.items, *development.items)]
    assert len(set(ids)) == len(ids)
    assert all(item.id.startswith(item.part + "-") for item in probe.items)


def test_no_item_stands_among_the_development_items_or_twice_here(probe):
    development = {folded(item.prompt) for item in benchmarks.load("general-probe:development").items}
    here = [folded(item.prompt) for item in probe.items]
    assert not development & set(here)
    assert len(set(here)) == len(here)


def test_the_development_inputs_alone_are_not_among_the_inputs_either(rows):
    lines = (FOLDER / "development.jsonl").read_text("utf-8").splitlines()
    development = {folded(json.loads(line)["input"]) for line in lines}
    assert not development & {folded(row["input"]) for part in rows.values() for row in part}


@pytest.mark.parametrize("part", [part for part in CHOICES if part != "sentiment"])
def test_right_answers_are_spread_over_the_positions(rows, part):
    number = len(rows[part][0]["choices"])
    assert {len(row["choices"]) for row in rows[part]} == {number}
    places = Counter(row["choices"].index(row["answer"]) for row in rows[part])
    even = len(rows[part]) / number
    assert all(0.5 * even <= places[place] <= 1.5 * even for place in range(number)), places


def test_reviews_are_as_often_positive_as_negative_within_five_percent(rows):
    counts = Counter(row["answer"] for row in rows["sentiment"])
    assert set(counts) == {"positive", "negative"}
    assert abs(counts["positive"] - counts["negative"]) <= 0.05 * len(rows["sentiment"])


def test_choices_of_an_entailment_have_the_same_number_of_words(rows):
    assert not [row["id"] for row in rows["entailment"] if len({len(c.split()) for c in row["choices"]}) != 1]


def test_results_of_a_sum_have_the_same_number_of_digits_and_repeat_the_sum(rows):
    for row in rows["arithmetic"]:
        heads, results = zip(*(choice.rsplit(" = ", 1) for choice in row["choices"]), strict=True)
        assert set(heads) == {row["input"]}, row["id"]
        assert all(re.fullmatch(r"\d+", result) for result in results), row["id"]
        assert len({len(result) for result in results}) == 1, row["id"]


def test_the_right_result_is_the_result(rows):
    for row in rows["arithmetic"]:
        left, sign, right = row["input"].split(" ")
        value = {"+": int(left) + int(right), "-": int(left) - int(right), "\u00d7": int(left) * int(right)}[
            sign
        ]
        assert row["answer"] == f"{row['input']} = {value}", row["id"]


def test_always_taking_the_smallest_or_largest_result_gains_little(rows):
    for pick in (min, max):
        hits = sum(
            row["answer"] == pick(row["choices"], key=lambda c: int(c.rsplit(" ", 1)[1]))
            for row in rows["arithmetic"]
        )
        assert hits / len(rows["arithmetic"]) <= 0.4


def test_a_spelling_prompt_never_shows_a_choice(probe):
    for item in probe.items:
        if item.part == "spelling":
            shown = item.prompt.casefold()
            words = [
                choice.removeprefix("The correct spelling is ").removesuffix(".") for choice in item.choices
            ]
            assert not [word for word in words if re.search(rf"\b{word}\b", shown)], item.id


def test_no_word_is_spelled_rightly_twice_and_no_wrong_spelling_is_right_elsewhere(rows):
    right = [row["answer"] for row in rows["spelling"]]
    assert len(set(right)) == len(right)
    wrong = {choice for row in rows["spelling"] for choice in row["choices"] if choice != row["answer"]}
    assert not wrong & set(right)


def test_choices_are_said_in_whole_sentences_that_differ_in_the_choice_alone(probe):
    for item in probe.items:
        for one, other in combinations(item.choices, 2):
            assert folded(one) != folded(other)
            assert one[-1] == other[-1] or item.part == "arithmetic"
        assert all(choice == choice.strip() for choice in item.choices)


def test_every_format_reference_is_accepted_and_takes_less_room_than_an_answer_may(probe):
    spec = probe.spec.parts["format"]
    items = [item for item in probe.items if item.part == "format"]
    assert {item.extraction for item in items} == {"whole"}
    for item in items:
        for reference in item.references:
            answer = rule("whole", where="").answer(reference)
            assert item.accepts is None or item.accepts.matches(answer), item.id
            assert len(reference.split()) < spec.max_new_tokens, item.id


@pytest.mark.parametrize(
    "evasion",
    ["", "I cannot do that.", "Sure! Here is what you asked for:", "no", "1", "\n", "As an AI, I ..."],
)
def test_no_evasion_follows_many_formats(probe, said, evasion):
    items = [item for item in probe.items if item.part == "format"]
    answers = {item.id: said(item.id, evasion) for item in items}
    score = benchmarks.load("general-probe", parts=["format"]).score(answers).scores["accuracy"].score
    assert score.n == len(items)
    assert score.value <= 0.2


def test_right_answers_score_one(probe, chose, said):
    answers = {}
    for item in probe.items:
        if item.choices:
            answers[item.id] = chose(item.id, *(0.0 if c in item.references else -1.0 for c in item.choices))
        else:
            answers[item.id] = said(item.id, item.references[0])
    found = probe.score(answers)
    assert {part: scored["accuracy"].score.value for part, scored in found.parts.items()} == dict.fromkeys(
        probe.parts, 1.0
    )
