"""BIG-bench Hard: the authors' prompts with and without their chain of thought, and how its answers are counted."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tutelage.benchmarks import load
from tutelage.core.types import Response


@pytest.fixture(scope="module")
def data() -> Path:
    found = Path(os.environ.get("TUTELAGE_DATA", ""))
    if not os.environ.get("TUTELAGE_DATA") or not (found / "bbh").is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with bbh")
    return found


def test_a_prompt_is_the_authors_file_with_the_question_behind_it(data: Path) -> None:
    found = load("bbh:cot", data=data)
    assert (len(found.items), len(found.sizes), len(found.missing)) == (4511, 19, 8)
    for item in found.items:
        text = (data / "bbh/cot-prompts" / f"{item.part}.txt").read_text("utf-8").split("-----\n", 1)[1]
        assert item.full_prompt.startswith(f"{text}\n\nQ: ")
        assert item.full_prompt.endswith("\nA: Let's think step by step.\n")
        assert len(item.exemplars) == 3
        assert item.request(found.spec.parts[item.part]).form == "text"


def test_direct_prompts_are_the_same_examples_without_their_reasons(data: Path) -> None:
    thought, direct = load("bbh:cot", data=data, limit=1), load("bbh:direct", data=data, limit=1)
    assert [item.id for item in thought.items] == [item.id for item in direct.items]
    for long, short in zip(thought.items, direct.items, strict=True):
        for whole, shot in zip(long.exemplars, short.exemplars, strict=True):
            question, _, reasons = whole.partition("\nA: Let's think step by step.")
            asked, _, answer = shot.rpartition("\nA: ")
            assert asked == question
            assert re.search(rf"the answer is {re.escape(answer)}\.?\s*\Z", reasons)
        assert short.full_prompt.endswith("\nA:")


def test_fewer_examples_can_be_asked_for_and_more_there_are_not(data: Path) -> None:
    from tutelage.core.errors import InputError

    two = load("bbh", data=data, limit=1, parts=["navigate"], shots=2).items[0]
    three = load("bbh", data=data, limit=1, parts=["navigate"]).items[0]
    assert two.exemplars == three.exemplars[:2]
    with pytest.raises(InputError, match="too few exemplars") as caught:
        load("bbh", data=data, limit=1, parts=["navigate"], shots=4)
    assert (caught.value.found, caught.value.expected) == ("3", "4")


def test_the_macro_average_takes_variants_of_a_task_as_one(data: Path) -> None:
    found = load("bbh", data=data, limit=2)
    wrong = {"navigate", "logical_deduction_three_objects"}
    said = {
        item.id: Response(
            item.id, f"So the answer is {'nothing' if item.part in wrong else item.references[0]}.", "stop", 5
        )
        for item in found.items
    }
    scores = found.score(said)
    assert scores.headline == "macro"
    # 15 tasks are here: 13 files of their own, logical deduction and tracking shuffled objects in three variants each.
    assert scores.groups["macro"]["bbh:mode=cot"].score.value == pytest.approx((15 - 1 - 1 / 3) / 15)
    assert scores.scores["bbh:mode=cot"].score.value == pytest.approx(17 / 19)
    sizes = found.sizes
    share = sum(size for part, size in sizes.items() if part not in wrong) / sum(sizes.values())
    assert scores.groups["micro"]["bbh:mode=cot"].score.value == pytest.approx(share)
    assert set(scores.groups) == {"micro", "macro"}
