"""Evaluations as lm-evaluation-harness's tasks and groups.

A task, or a benchmark without parts, becomes a task. Of a benchmark with parts each part becomes a task; the benchmark, and
its groups of parts, become groups.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.types import Response
from tutelage.metrics.score import ItemScores
from tutelage.results.evaluation import Evaluation, Item
from tutelage.results.name_marks import name_marks

GREEDY = {"do_sample": False}
"""The generation settings of all responses, in the harness's terms."""
_ABS_TOL = 1e-9


@dataclass(frozen=True, slots=True)
class HarnessMetric:
    """A score under the harness's name.

    Attributes:
        name: the harness's name of the metric, or ours if it has none.
        value: the score.
        standard_error: of a mean over items; None for other scores.
        higher_is_better: the direction.
        by_item: each item's value by its id; items without a value are left out.
    """

    name: str
    value: float
    standard_error: float | None
    higher_is_better: bool
    by_item: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class HarnessTask:
    """A task, a benchmark without parts, or one part of a benchmark.

    Attributes:
        name: unique, and fit for a file name.
        alias: the name for people.
        suite: "task" or "benchmark".
        metrics: its scores.
        items: its items.
        responses: by item id; of the whole benchmark.
        original: how many items there are in all, asked or not.
        version: of the benchmark's spec; None if unknown.
    """

    name: str
    alias: str
    suite: str
    metrics: Sequence[HarnessMetric]
    items: Sequence[Item]
    responses: Mapping[str, Response]
    original: int
    version: int | None

    @property
    def shots(self) -> int:
        """The most exemplars before a question."""
        return max((int(str(item.fields.get("shots", 0))) for item in self.items), default=0)

    @property
    def is_multiple_choice(self) -> bool:
        """Whether responses are choices and not generated text."""
        return any(self.responses[item.id].choice is not None for item in self.items)


@dataclass(frozen=True, slots=True)
class HarnessGroup:
    """A benchmark with parts, or a group of its parts.

    Attributes:
        name: unique.
        alias: the name for people.
        metrics: scores over all its items, and averages over its parts.
        children: names of the groups and tasks in it.
        count: how many items it has.
        shots: the most exemplars before a question.
        version: of the benchmark's spec; None if unknown.
    """

    name: str
    alias: str
    metrics: Sequence[HarnessMetric]
    children: Sequence[str]
    count: int
    shots: int
    version: int | None


@dataclass(frozen=True, slots=True)
class _LoadedEvaluation:
    """One evaluation, read from the store once: with many parts each query takes its time.

    Attributes:
        name: of the task or benchmark.
        suite: "task" or "benchmark".
        items: its items.
        responses: by item id.
        scores: by part ("" is the whole) and metric, with the ids of the items they count.
        harness_names: the harness's names of the metrics, by ours.
        caveats: what evaluation.json says about the benchmark's scores.
    """

    name: str
    suite: str
    items: Sequence[Item]
    responses: Mapping[str, Response]
    scores: Mapping[str, Mapping[str, tuple[ItemScores, tuple[str, ...]]]]
    harness_names: Mapping[str, str]
    caveats: Mapping[str, Any]

    @property
    def parts(self) -> list[str]:
        """The parts that have items and scores, in the order of items; groups of parts have no items of their own."""
        return [
            part for part in dict.fromkeys(item.part for item in self.items) if part and part in self.scores
        ]


def _unique_name(label: str, used: set[str]) -> str:
    """Make a file name for a label that differs from those in `used`, also where case is ignored, and add it to them."""
    base = re.sub(r"[^A-Za-z0-9.-]+", "_", label).strip("_.") or "task"
    name, number = base, 2
    while name.lower() in used:
        name, number = f"{base}_{number}", number + 1
    used.add(name.lower())
    return name


def harness_tree(
    evaluations: Sequence[Evaluation], caveats: Mapping[str, Mapping[str, Any]]
) -> tuple[list[HarnessTask], list[HarnessGroup]]:
    """Make the tasks and groups of one model's evaluations.

    Args:
        evaluations: scored ones.
        caveats: by benchmark, what evaluation.json says about it: `version`, and `sizes` by part if a sample was asked.
    """
    used_names: set[str] = set()
    tasks: list[HarnessTask] = []
    groups: list[HarnessGroup] = []
    for evaluation in evaluations:
        of_benchmark = caveats.get(evaluation.name, {}) if evaluation.suite == "benchmark" else {}
        loaded = _load(evaluation, of_benchmark)
        name = _unique_name(loaded.name, used_names)
        if not loaded.parts:
            tasks.append(_task(loaded, "", name, loaded.name))
            continue
        by_part = {
            part: _task(loaded, part, _unique_name(f"{name}_{part}", used_names), part)
            for part in loaded.parts
        }
        tasks += by_part.values()
        groups += _groups(loaded, name, by_part, used_names)
    return tasks, groups


def _load(evaluation: Evaluation, caveats: Mapping[str, Any]) -> _LoadedEvaluation:
    scores = {part: evaluation.item_scores(part) for part in evaluation.parts()}
    harness_names = _harness_names(metric for by_metric in scores.values() for metric in by_metric)
    items, responses = evaluation.items(), evaluation.responses()
    if missing_ids := [item.id for item in items if item.id not in responses]:
        raise InputError(
            f"{evaluation.name} was scored, and {len(missing_ids)} of its items have no answer",
            where=evaluation.name,
            found=f"none to {missing_ids[0]!r}",
            fix="run the command that made it again: what is missing is asked",
        )
    return _LoadedEvaluation(
        evaluation.name, evaluation.suite, items, responses, scores, harness_names, caveats
    )


def _task(loaded: _LoadedEvaluation, part: str, name: str, alias: str) -> HarnessTask:
    items = [item for item in loaded.items if not part or item.part == part]
    sizes: Mapping[str, Any] = loaded.caveats.get("sizes", {})
    return HarnessTask(
        name=name,
        alias=alias,
        suite=loaded.suite,
        metrics=_metrics(loaded, part),
        items=items,
        responses=loaded.responses,
        original=int(sizes.get(part, len(items))),
        version=loaded.caveats.get("version"),
    )


def _groups(
    loaded: _LoadedEvaluation, name: str, tasks: Mapping[str, HarnessTask], used_names: set[str]
) -> list[HarnessGroup]:
    """The benchmark, and below it its groups of parts. Averages over parts become metrics of the benchmark."""
    averages, groups = [], []
    for part, by_metric in loaded.scores.items():
        if not part or part in tasks:
            continue
        if all(scores.averaged for scores, _ in by_metric.values()):
            averages += _metrics(loaded, part, f"_{part}")
            continue
        ids = {item_id for _, item_ids in by_metric.values() for item_id in item_ids}
        members = [task for task in tasks.values() if any(item.id in ids for item in task.items)]
        group_name = _unique_name(f"{name}_{part}", used_names)
        groups.append(_group(loaded, group_name, part, _metrics(loaded, part), members))
    grouped = {child for group in groups for child in group.children}
    alias = loaded.name + name_marks(loaded.caveats)
    top = _group(loaded, name, alias, [*_metrics(loaded, ""), *averages], list(tasks.values()))
    children = [*(group.name for group in groups), *(child for child in top.children if child not in grouped)]
    return [replace(top, children=children), *groups]


def _group(
    loaded: _LoadedEvaluation,
    name: str,
    alias: str,
    metrics: Sequence[HarnessMetric],
    members: Sequence[HarnessTask],
) -> HarnessGroup:
    return HarnessGroup(
        name=name,
        alias=alias,
        metrics=metrics,
        children=[task.name for task in members],
        count=sum(len(task.items) for task in members),
        shots=max((task.shots for task in members), default=0),
        version=loaded.caveats.get("version"),
    )


def _metrics(loaded: _LoadedEvaluation, part: str, suffix: str = "") -> list[HarnessMetric]:
    return [
        HarnessMetric(
            name=loaded.harness_names[metric] + suffix,
            value=scores.score.value,
            standard_error=None if suffix else _standard_error(scores),
            higher_is_better=scores.higher_is_better,
            by_item={
                item_id: value
                for item_id, value in zip(ids, scores.items.tolist(), strict=True)
                if math.isfinite(value)
            },
        )
        for metric, (scores, ids) in loaded.scores.get(part, {}).items()
    ]


def _harness_names(metrics: Iterable[str]) -> dict[str, str]:
    """The harness's names by ours. If two metrics have the same name there, the second keeps ours."""
    table = yamltext.table("tutelage.results.lm_eval", "names.yaml")
    names: dict[str, str] = {}
    for metric in dict.fromkeys(metrics):
        harness_name = table.get(metric, metric)
        names[metric] = metric if harness_name in names.values() else harness_name
    return names


def _standard_error(scores: ItemScores) -> float | None:
    """The standard error of a score that is the mean of its items (lm_eval/api/metrics.py, mean_stderr); None for others."""
    items = scores.items
    if len(items) < 2 or not math.isclose(float(items.mean()), scores.score.value, abs_tol=_ABS_TOL):
        return None
    return float(items.std(ddof=1)) / math.sqrt(len(items))
