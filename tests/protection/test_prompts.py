"""The bundled everyday instructions: what is promised of them, that no benchmark asks them, and what their reader refuses."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from tutelage import benchmarks
from tutelage.benchmarks import DataNotFoundError
from tutelage.core.errors import InputError
from tutelage.data import duplicates
from tutelage.protection import prompts as module
from tutelage.protection.prompts import KINDS, bundled_prompts, read_prompts

FILE = Path(module.__file__).with_name("prompts.jsonl")
SUPPORT_BOT = Path(__file__).parents[2] / "recipes" / "data" / "support-bot.jsonl"
ALIKE = 0.5  # stricter than a recipe's default of 0.8
SHORT_ANSWERS = ("choice", "yes-or-no", "one-word", "number")


def near_pairs(others):
    """Each of the other texts that is near a prompt, as `find_contamination` compares items with rows."""
    texts, bundled = list(others), bundled_prompts()
    return [
        (texts[match.item], bundled[match.row], match.evidence)
        for match in duplicates.contaminated_items(texts, bundled, ALIKE)
    ]


def with_lines(texts):
    """The texts and each of their lines, so that no instruction or list of choices around a question hides it."""
    return {*texts, *(line for text in texts for line in text.splitlines() if len(line.split()) >= 4)}


def test_there_are_at_least_300_prompts_of_the_promised_kinds():
    rows = read_prompts(FILE)
    assert len(rows) >= 300
    assert Counter(row.kind for row in rows) == KINDS
    assert KINDS["format"] >= 60
    assert sum(KINDS[kind] for kind in SHORT_ANSWERS) >= 50
    assert bundled_prompts() == tuple(row.prompt for row in rows)


def test_prompts_are_as_long_as_people_write_them():
    lengths = sorted(len(prompt.split()) for prompt in bundled_prompts())
    assert lengths[0] >= 4
    assert lengths[-1] <= 120
    assert lengths[len(lengths) // 2] < 20
    assert sum(length > 70 for length in lengths) >= 8


def test_ids_are_numbered_by_kind():
    numbers = Counter()
    for row in read_prompts(FILE):
        numbers[row.kind] += 1
        assert row.id == f"{row.kind}-{numbers[row.kind]:02d}"


def test_no_two_prompts_are_near_duplicates():
    groups = duplicates.near_duplicate_groups(bundled_prompts(), ALIKE)
    assert [(index, first) for index, first in enumerate(groups) if index != first] == []


@pytest.mark.parametrize("name", ["general-probe", "general-probe:development"])
def test_no_prompt_is_near_an_item_of_the_bundled_benchmark(name):
    assert near_pairs(with_lines(item.prompt for item in benchmarks.load(name).items)) == []


def test_no_prompt_contains_what_an_item_of_the_bundled_benchmark_asks():
    folder = Path(benchmarks.__file__).parent / "library" / "general-probe"
    rows = [
        json.loads(line)
        for name in ("items", "development")
        for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()
    ]
    text = "\n".join(bundled_prompts()).casefold()
    asked = {row["input"].casefold().strip(".?! ") for row in rows}
    assert [one for one in asked if re.search(rf"\b{re.escape(one)}\b", text)] == []


def test_no_prompt_is_near_a_row_of_the_bundled_example():
    rows = [json.loads(line) for line in SUPPORT_BOT.read_text("utf-8").splitlines()]
    assert near_pairs({row[field] for row in rows for field in ("question", "answer")}) == []


def test_a_near_copy_of_a_prompt_would_be_found():
    first = bundled_prompts()[0]
    assert near_pairs([f"Question: {first} Answer:"])
    assert near_pairs(with_lines([f"The following are questions about the sky.\n\n{first}\nA. yes\nB. no"]))


@pytest.mark.long
def test_no_prompt_is_near_an_item_of_any_benchmark_whose_data_is_here():
    folder = os.environ.get("TUTELAGE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TUTELAGE_DATA names no folder of benchmarks")
    texts, read = set(), set()
    for name in benchmarks.names():
        try:
            items = benchmarks.load(name, data=Path(folder)).items
        except DataNotFoundError:
            continue
        texts |= with_lines(item.prompt for item in items)
        read.add(name)
    assert len(read) > 1
    assert near_pairs(texts) == []


# What the reader refuses.

KEPT = [
    {"id": "plan-01", "kind": "plan", "prompt": "Plan a day in the woods."},
    {"id": "code-01", "kind": "code", "prompt": "What does this line do? x += 1"},
]


def refusal(folder, *rows, kinds=None):
    """The error for a file of these rows, which may be texts."""
    file = folder / "prompts.jsonl"
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), "utf-8")
    with pytest.raises(InputError) as caught:
        read_prompts(file, kinds or {"plan": 1, "code": 1})
    return caught.value


def test_a_right_file_is_read_in_order(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(map(json.dumps, KEPT)), "utf-8")
    assert [row.prompt for row in read_prompts(file, {"code": 1, "plan": 1})] == [
        row["prompt"] for row in KEPT
    ]


@pytest.mark.parametrize(
    ("change", "problem", "where"),
    [
        ({"kind": "pln"}, "there is no such kind", "prompts.jsonl:2: kind"),
        ({"id": "plan-07"}, "the id does not fit the kind", "prompts.jsonl:2: id"),
        ({"id": "code-x"}, "the id does not fit the kind", "prompts.jsonl:2: id"),
        ({"prompt": " What does this line do?"}, "begins or ends with space", "prompts.jsonl:2: prompt"),
        ({"prompt": "Write code."}, "the prompt is too short", "prompts.jsonl:2: prompt"),
        ({"prompt": "why " * 150 + "not"}, "the prompt is too long", "prompts.jsonl:2: prompt"),
        ({"prompt": 7}, "", "prompts.jsonl:2: prompt"),
        ({"answer": "It adds one."}, "", "prompts.jsonl:2: answer"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(tmp_path, change, problem, where):
    error = refusal(tmp_path, KEPT[0], KEPT[1] | change)
    assert problem in error.problem
    assert error.where == where


def test_a_missing_field_and_a_broken_line_are_refused_together(tmp_path):
    error = refusal(tmp_path, {"id": "plan-01", "kind": "plan"}, '{"id": "code-01"', *KEPT)
    assert [mistake.where.partition(": ")[0] for mistake in error.mistakes] == [
        "prompts.jsonl:1",
        "prompts.jsonl:2",
    ]


def test_what_stands_twice_is_refused(tmp_path):
    again = {"id": "code-02", "kind": "code", "prompt": "what does  this line do? X += 1"}
    error = refusal(tmp_path, *KEPT, again, kinds={"plan": 1, "code": 2})
    assert error.problem == "the prompt stands twice"
    assert error.where == "prompts.jsonl:3"
    assert "as on line 2" in error.found
    error = refusal(tmp_path, *KEPT, again | {"id": "code-01", "prompt": "Write a loop over a list."})
    assert error.problem == "the id stands twice"


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ({"plan": 2, "code": 1}, "plan has too few prompts"),
        ({"plan": 1, "code": 0}, "code has too many prompts"),
    ],
)
def test_a_file_with_fewer_or_more_prompts_than_promised_is_refused(tmp_path, kinds, problem):
    error = refusal(tmp_path, *KEPT, kinds=kinds)
    assert problem in error.problem
    assert "install Tutelage again" in error.fix
