"""The log-probability of right answers among an item's choices."""

from __future__ import annotations

import dataclasses
import math

import pytest

from tutelage.benchmarks import load
from tutelage.benchmarks.right_answers import answer_log_probabilities, why_without_log_probabilities
from tutelage.core.types import Response

PROBE = load("general-probe")


def only(parts):
    return dataclasses.replace(PROBE, items=tuple(item for item in PROBE.items if item.part in parts))


def answered(benchmark, logprobs_of):
    return {
        item.id: Response(item.id, "", "choice", 0, logprobs=tuple(logprobs_of(item)), lengths=())
        for item in benchmark.items
    }


def test_it_is_the_log_of_the_right_choices_share_and_a_change_of_all_choices_is_none():
    choose = only({"knowledge"})
    assert why_without_log_probabilities(choose) is None

    def logprobs(item, shift=0.0):
        return [shift + (-1.0 if text in item.references else -2.0) for text in item.choices]

    measured = answer_log_probabilities(choose, answered(choose, logprobs))
    shares = [1 / (1 + (len(item.choices) - 1) * math.exp(-1)) for item in choose.items]
    assert measured.items == pytest.approx([math.log(share) for share in shares])
    assert measured.clusters is None
    shifted = answer_log_probabilities(choose, answered(choose, lambda item: logprobs(item, -14.0)))
    assert shifted.items == pytest.approx(measured.items)


def test_several_right_choices_count_together_and_what_is_not_there_has_none():
    choose = only({"knowledge"})
    item = choose.items[0]
    both = dataclasses.replace(item, references=item.choices[:2])
    two = dataclasses.replace(choose, items=(both,))
    responses = {item.id: Response(item.id, "", "choice", 0, logprobs=(-1.0, -2.0, -3.0, -math.inf))}
    want = math.log((math.exp(-1) + math.exp(-2)) / (math.exp(-1) + math.exp(-2) + math.exp(-3)))
    assert answer_log_probabilities(two, responses).items == pytest.approx([want])
    none = dataclasses.replace(choose, items=(dataclasses.replace(item, references=("elsewhere",)),))
    assert why_without_log_probabilities(none) == f"1 items have no right choice, such as {item.id}"
    assert answer_log_probabilities(none, responses) is None


def test_generated_answers_have_none_and_the_part_is_named():
    generating = [name for name, part in PROBE.spec.parts.items() if part.kind == "generate"]
    assert why_without_log_probabilities(PROBE) == "answers are generated in " + ", ".join(generating)
    assert answer_log_probabilities(PROBE, {}) is None
