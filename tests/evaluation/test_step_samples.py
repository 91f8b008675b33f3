"""Samples of what is asked at each step: fixed, spread over parts, whole where answers belong together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tutelage.benchmarks import load
from tutelage.config import from_mapping
from tutelage.core.types import Origin, Prompted, Request
from tutelage.evaluation.step_samples import _allot, draw_samples
from tutelage.prepare.encoding import TaskQuestions


@pytest.fixture
def probe():
    return load("general-probe")


def questions(task, count, *, wordings=1):
    """The validation questions of a task of `count` rows, each row in every wording."""
    pairs = []
    for row in range(count):
        for wording in range(wordings):
            template = f"kind/w{wording}"
            prompt = f"Question {row} in words {wording}?"
            id_ = f"r{row}:{template}" if wordings > 1 else f"r{row}"
            prompted = Prompted(f"r{row}", task.name, prompt, "yes", template, Origin("rows.jsonl", row + 1))
            pairs.append((prompted, Request(id_, "generate", prompt, max_new_tokens=3)))
    return TaskQuestions(task, (), tuple(pairs))


@pytest.fixture
def task():
    fields = {"data": {"path": "rows.jsonl"}, "prompt": "{{ q }}", "completion": "{{ a }}"}
    return from_mapping({"tasks": [{"name": "bot", **fields}]}).tasks[0]


def test_a_benchmarks_sample_is_spread_over_its_parts_and_always_the_same(probe):
    (sampled,) = draw_samples((), [probe], items=60, seed=0).benchmarks
    sizes, all_sizes = (Counter(item.part for item in each.items) for each in (sampled, probe))
    assert sizes.total() == 60
    for part, size in all_sizes.items():
        assert abs(sizes[part] - 60 * size / len(probe.items)) <= 1
    assert draw_samples((), [probe], items=60, seed=0).benchmarks == (sampled,)
    shuffled = replace(probe, items=probe.items[::-1])
    (other,) = draw_samples((), [shuffled], items=60, seed=0).benchmarks
    assert {item.id for item in other.items} == {item.id for item in sampled.items}
    (another_seed,) = draw_samples((), [probe], items=60, seed=1).benchmarks
    assert {item.id for item in another_seed.items} != {item.id for item in sampled.items}
    assert draw_samples((), [probe], items=10_000, seed=0).benchmarks[0].items == probe.items


def test_what_is_judged_together_is_taken_whole(probe, task):
    passages = [f"passage {n // 7}" for n in range(len(probe.items))]
    items = tuple(replace(item, cluster=each) for item, each in zip(probe.items, passages, strict=True))
    (sampled,) = draw_samples((), [replace(probe, items=items)], items=200, seed=0).benchmarks
    by_part = {part: [item for item in items if item.part == part] for part in probe.parts}
    for part, of_part in by_part.items():
        sizes = Counter(item.cluster for item in of_part)
        taken = Counter(item.cluster for item in sampled.items if item.part == part)
        assert taken
        assert all(count == sizes[cluster] for cluster, count in taken.items())
    assert len(sampled.items) <= 200 + 7 * len(by_part)
    all_wordings = task.model_copy(update={"test_wordings": "all"})
    (chosen,) = draw_samples([questions(all_wordings, 30, wordings=4)], (), items=10, seed=0).tasks
    assert set(Counter(row.id for row, _ in chosen.validation).values()) == {4}
    assert len(chosen.validation) == 8


def test_a_tasks_sample_is_fixed_and_a_task_without_validation_rows_is_left_out(task):
    other = task.model_copy(update={"name": "silent"})
    samples = draw_samples([questions(task, 50), TaskQuestions(other, ())], (), items=12, seed=0)
    (chosen,) = samples.tasks
    assert (len(chosen.validation), samples.size, samples.left_out) == (12, 12, ("silent",))
    larger = draw_samples([questions(task, 50)], (), items=20, seed=0)
    ids, more = ({row.id for row, _ in each.validation} for each in (chosen, larger.tasks[0]))
    assert ids < more
    assert draw_samples([questions(task, 50)], (), items=12, seed=0).fingerprint == samples.fingerprint
    assert larger.fingerprint != samples.fingerprint
    with_metric = task.model_copy(update={"metrics": ("rouge1",)})
    assert draw_samples([questions(with_metric, 50)], (), items=12, seed=0).fingerprint != samples.fingerprint


def test_items_are_allotted_by_size():
    assert _allot(10, {"a": 50, "b": 30, "c": 20}) == {"a": 5, "b": 3, "c": 2}
    assert _allot(5, {"a": 96, "b": 2, "c": 2}) == {"a": 3, "b": 1, "c": 1}
    assert _allot(2, {"a": 9, "b": 1, "c": 9}) == {"a": 1, "c": 1}
    assert _allot(99, {"a": 4, "b": 4}) == {"a": 4, "b": 4}
    for items in range(1, 108):
        counts = _allot(items, sizes := {"a": 96, "b": 2, "c": 7, "d": 3})
        assert sum(counts.values()) == items
        assert all(counts[part] <= sizes[part] for part in counts)
