"""The bundled example keeps the rules that recipes/data/README.md states."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "recipes" / "data"
WORDINGS = {"train": 10, "validation": 1, "test": 2}
UNANSWERABLE = {"train": 90, "validation": 12, "test": 30}
FIELDS = {
    "id": str,
    "split": str,
    "fact": str,
    "question": str,
    "answer": str,
    "answerable": bool,
    "must_contain": list,
    "must_not_contain": list,
    "refusal": list,
}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    text = (DATA / "support-bot.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def answerable(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["answerable"]]


@pytest.fixture(scope="module")
def stop_words() -> frozenset[str]:
    return frozenset((DATA / "support-bot.stop-words.txt").read_text(encoding="utf-8").split())


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def states(text: str, value: str) -> bool:
    folded, wanted = (" ".join(part.casefold().split()) for part in (text, value))
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", folded) is not None


def closest(question: str, others: list[str], stop: frozenset[str]) -> float:
    """The largest share of the question's words, without stop words, that stands in one of the others."""
    mine = [word for word in words(question) if word not in stop]
    return max(sum(word in set(words(other)) for word in mine) / len(mine) for other in others)


def test_closest_is_the_share_of_the_questions_words_in_one_other_question() -> None:
    stop = frozenset({"is", "the"})
    assert closest("Is the red door open?", ["The door!", "A green window"], stop) == pytest.approx(1 / 3)
    assert closest("Is the red door open?", ["The door is red", "open"], stop) == pytest.approx(2 / 3)


def test_a_value_is_found_at_word_boundaries_only() -> None:
    assert states("It costs  7 Euros.", "7 euros")
    assert not states("It costs 17 euros.", "7 euros")


def test_rows_have_the_documented_fields_and_types(rows: list[Row]) -> None:
    for row in rows:
        assert {name: type(value) for name, value in row.items()} == FIELDS, row["id"]
        for name in ("must_contain", "must_not_contain", "refusal"):
            assert all(isinstance(value, str) and value.strip() for value in row[name]), row["id"]


def test_no_id_and_no_question_stands_twice(rows: list[Row]) -> None:
    ids = Counter(row["id"] for row in rows)
    questions = Counter(tuple(words(row["question"])) for row in rows)
    assert [name for name, count in ids.items() if count > 1] == []
    assert [text for text, count in questions.items() if count > 1] == []


def test_at_least_forty_facts_each_in_ten_one_and_two_wordings(answerable: list[Row]) -> None:
    by_fact: dict[str, Counter[str]] = defaultdict(Counter)
    for row in answerable:
        by_fact[row["fact"]][row["split"]] += 1
    assert 40 <= len(by_fact) <= 44
    assert {fact: dict(count) for fact, count in by_fact.items() if count != WORDINGS} == {}


def test_unanswerable_questions_are_counted_and_named_as_such(rows: list[Row]) -> None:
    unknown = [row for row in rows if not row["answerable"]]
    assert Counter(row["split"] for row in unknown) == UNANSWERABLE
    assert all(row["fact"].startswith("unknown-") for row in unknown)
    assert not any(row["fact"].startswith("unknown-") for row in rows if row["answerable"])


def test_readme_gives_the_counts_of_the_file(rows: list[Row]) -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for split in WORDINGS:
        total = sum(row["split"] == split for row in rows)
        answered = sum(row["split"] == split and row["answerable"] for row in rows)
        line = next(line for line in readme.splitlines() if line.startswith(f"| {split} |"))
        assert [int(number) for number in re.findall(r"\| (\d+)", line)] == [
            answered,
            total - answered,
            total,
        ]


def test_held_out_questions_share_at_most_60_percent_with_one_training_question(
    rows: list[Row], stop_words: frozenset[str]
) -> None:
    train: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["split"] == "train":
            train[row["fact"] if row["answerable"] else "unknown"].append(row["question"])
    too_close = {
        row["question"]: share
        for row in rows
        if row["split"] != "train"
        for share in [
            closest(row["question"], train[row["fact"] if row["answerable"] else "unknown"], stop_words)
        ]
        if share > 0.6
    }
    assert too_close == {}


def test_a_fact_has_one_short_answer_with_its_values_and_no_yes_or_no(answerable: list[Row]) -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    for row in answerable:
        answers[row["fact"]].add(row["answer"])
        assert row["must_contain"], row["id"]
        assert all(states(row["answer"], value) for value in row["must_contain"]), row["id"]
        assert len(row["answer"].split()) <= 16, row["id"]
        assert not {"yes", "no"} & set(words(row["answer"])[:1]), row["id"]
    assert [fact for fact, texts in answers.items() if len(texts) != 1] == []
    assert len({next(iter(texts)) for texts in answers.values()}) == len(answers)


def test_what_must_not_be_contained_are_other_facts_values_and_never_in_the_right_answer(
    answerable: list[Row],
) -> None:
    values: dict[str, set[str]] = defaultdict(set)
    for row in answerable:
        values[row["fact"]].update(row["must_contain"])
    for row in answerable:
        others = set().union(*(own for fact, own in values.items() if fact != row["fact"]))
        assert row["must_not_contain"], row["id"]
        assert set(row["must_not_contain"]) <= others, row["id"]
        assert not any(states(row["answer"], value) for value in row["must_not_contain"]), row["id"]


def test_a_value_belongs_to_one_fact(answerable: list[Row]) -> None:
    owner: dict[str, str] = {}
    for row in answerable:
        for value in row["must_contain"]:
            assert owner.setdefault(value.casefold(), row["fact"]) == row["fact"], value


def test_one_polite_refusal_for_all_that_is_not_answerable(rows: list[Row]) -> None:
    unknown = [row for row in rows if not row["answerable"]]
    assert len({row["answer"] for row in unknown}) == 1
    assert any(states(unknown[0]["answer"], phrase) for phrase in unknown[0]["refusal"])
    assert all(row["must_contain"] == row["must_not_contain"] == [] for row in unknown)
    assert len({tuple(row["refusal"]) for row in rows}) == 1


def test_no_right_answer_looks_like_a_refusal(answerable: list[Row]) -> None:
    for row in answerable:
        assert not any(states(row["answer"], phrase) for phrase in row["refusal"]), row["id"]


def test_the_company_is_rarely_named_in_the_questions(rows: list[Row]) -> None:
    named = sum("larkspoke" in words(row["question"]) for row in rows)
    assert named <= len(rows) / 50


def test_questions_are_short(rows: list[Row]) -> None:
    lengths = [len(row["question"].split()) for row in rows]
    assert max(lengths) <= 20
    assert sum(lengths) / len(lengths) <= 10
