"""The bundled probe itself: what its spec says of its items holds for every one of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tutelage import benchmarks
from tutelage.benchmarks.extraction import rule
from tutelage.data.duplicates import near_duplicate_groups

CHOICES = ("knowledge", "arithmetic", "spelling", "sentiment", "entailment")
COUNTS = {
    "knowledge": 165,
    "arithmetic": 155,
    "spelling": 145,
    "sentiment": 145,
    "entailment": 145,
    "format": 145,
}
ORIGINAL = 435
MOST_ALIKE = {"knowledge": 0.7, "spelling": 0.35, "sentiment": 0.32, "entailment": 0.3, "format": 0.79}
"""The Jaccard similarity that no two inputs of a part reach, development items included; each kind has its own sentences."""
FOLDER = Path(benchmarks.__file__).parent / "library" / "general-probe"


@pytest.fixture(scope="module")
def probe():
    return benchmarks.load("general-probe")


@pytest.fixture(scope="module")
def rows():
    """The items as they stand in their files, by part."""
    return by_part("items.jsonl", "added.jsonl")


def by_part(*files):
    found: dict[str, list[dict]] = {}
    for line in "".join((FOLDER / file).read_text("utf-8") for file in files).splitlines():
        row = json.loads(line)
        found.setdefault(row["part"], []).append(row)
    return found


def folded(text):
    """A text for comparing: case and space do not count."""
    return " ".join(text.split()).casefold()


def test_there_are_six_parts_and_900_items(probe):
    assert probe.parts == (*CHOICES, "format")
    assert Counter(item.part for item in probe.items) == COUNTS
    assert sum(COUNTS.values()) == len(probe.items) == 900


def test_the_original_items_are_asked_as_ever(probe):
    content = (FOLDER / "items.jsonl").read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith("7cf107b92e78a7e30d9cb386195cfa36a5c857c0")
    original = benchmarks.load("general-probe:original")
    assert len(original.items) == ORIGINAL
    assert original.items == probe.items[:ORIGINAL]
    assert original.requests() == probe.requests()[:ORIGINAL]
    # Under their old name and version, everything that scores depend on is what it was in version 1.
    first = replace(
        original, name="general-probe", spec=original.spec.model_copy(update={"version": 1})
    ).fingerprint
    assert first == "08bdb39ad062a6dc338b833d432de191b93233a6e2208e8249cbe18f2063192d"


def test_core_asks_the_original_items(probe):
    core = benchmarks.load("core", parts=list(COUNTS))
    assert [(item.id.partition("/")[2], item.prompt, item.choices) for item in core.items] == [
        (item.id, item.prompt, item.choices) for item in probe.items[:ORIGINAL]
    ]


def test_ids_are_unique_here_and_among_the_development_items(probe, rows):
    development = benchmarks.load("general-probe:development")
    ids = [item.id for item in (*probe.items, *development.items)]
    assert len(set(ids)) == len(ids)
    for part, count in COUNTS.items():
        assert [row["id"] for row in rows[part]] == [f"{part}-{n + 1:02d}" for n in range(count)]


def test_no_item_stands_among_the_development_items_or_twice_here(probe):
    development = {folded(item.prompt) for item in benchmarks.load("general-probe:development").items}
    here = [folded(item.prompt) for item in probe.items]
    assert not development & set(here)
    assert len(set(here)) == len(here)


def test_the_development_inputs_alone_are_not_among_the_inputs_either(rows):
    lines = (FOLDER / "development.jsonl").read_text("utf-8").splitlines()
    development = {folded(json.loads(line)["input"]) for line in lines}
    assert not development & {folded(row["input"]) for part in rows.values() for row in part}


@pytest.mark.parametrize("part", MOST_ALIKE)
def test_no_two_inputs_are_near_duplicates(part):
    everything = by_part("items.jsonl", "added.jsonl", "development.jsonl")[part]
    groups = near_duplicate_groups([row["input"] for row in everything], MOST_ALIKE[part])
    repeated = [(row["id"], everything[head]["id"]) for row, head in zip(everything, groups, strict=True)]
    assert not [pair for pair in repeated if pair[0] != pair[1]]


def test_no_new_sum_is_an_earlier_one_turned_round():
    def turned(row):
        left, sign, right = row["input"].split(" ")
        return sign, *([left, right] if sign == "-" else sorted([left, right]))

    earlier = by_part("items.jsonl", "development.jsonl")["arithmetic"]
    added = [turned(row) for row in by_part("added.jsonl")["arithmetic"]]
    assert not {turned(row) for row in earlier} & set(added)
    assert len(set(added)) == len(added)


def test_the_right_answer_is_one_of_different_choices(rows):
    for row in (row for part in CHOICES if part != "sentiment" for row in rows[part]):
        assert row["choices"].count(row["answer"]) == 1, row["id"]
        assert len({folded(choice) for choice in row["choices"]}) == len(row["choices"]), row["id"]


@pytest.mark.parametrize("part", [part for part in CHOICES if part != "sentiment"])
def test_right_answers_are_spread_over_the_positions(rows, part):
    number = len(rows[part][0]["choices"])
    assert {len(row["choices"]) for row in rows[part]} == {number}
    places = Counter(row["choices"].index(row["answer"]) for row in rows[part])
    even = len(rows[part]) / number
    assert all(0.95 * even <= places[place] <= 1.05 * even for place in range(number)), places


@pytest.mark.parametrize(("part", "most"), [("knowledge", 0.3), ("spelling", 0.3), ("entailment", 0.6)])
@pytest.mark.parametrize("pick", [min, max])
def test_always_taking_the_shortest_or_longest_choice_gains_little(rows, part, most, pick):
    hits = 0.0
    for row in rows[part]:
        lengths = [len(choice) for choice in row["choices"]]
        if len(row["answer"]) == pick(lengths):
            hits += 1 / lengths.count(pick(lengths))
    assert hits / len(rows[part]) <= most


def test_spellings_of_a_word_are_about_as_long_as_the_word(rows):
    for row in rows["spelling"]:
        assert max(abs(len(choice) - len(row["answer"])) for choice in row["choices"]) <= 2, row["id"]


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
