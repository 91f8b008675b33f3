"""Tasks and benchmarks as tasks and groups there: each part of a benchmark is a task, the benchmark and its groups of parts are groups."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.types import Response
from tutelage.metrics.score import ItemScores
from tutelage.results.evaluation import Evaluation, Item

GREEDY = {"do_sample": False}
"""How all answers are generated, in their words."""
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Metric:
    """A score under the name it has there.

    Attributes:
        name: theirs, or ours where they have none.
        value: the score.
        error: the standard error of a mean over items; None for what is no such mean.
        higher_is_better: the direction.
        by_item: each item's value by its id; items without one are left out.
    """

    name: str
    value: float
    error: float | None
    higher_is_better: bool
    by_item: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Task:
    """What items are asked of: a task, or one part of a benchmark.

    Attributes:
        name: unlike every other's, and fit for a file's name.
        alias: its name for people.
        suite: "task" or "benchmark".
        metrics: its scores.
        items: what was asked.
        responses: by the item's id.
        original: how many items there are in all, asked or not.
        version: the spec's; None when it was not kept.
    """

    name: str
    alias: str
    suite: str
    metrics: Sequence[Metric]
    items: Sequence[Item]
    responses: Mapping[str, Response]
    original: int
    version: int | None

    @property
    def shots(self) -> int:
        """Worked examples before a question."""
        return max((int(str(item.fields.get("shots", 0))) for item in self.items), default=0)

    @property
    def chooses(self) -> bool:
        """Whether answers were chosen, not generated."""
        return any(self.responses[item.id].choice is not None for item in self.items)


@dataclass(frozen=True, slots=True)
class Group:
    """A benchmark with parts, or a group of its parts.

    Attributes:
        name: unlike every other's.
        alias: its name for people.
        metrics: scores over all its items, and averages over its parts.
        children: names of the groups and tasks below it.
        count: its items.
        shots: the most worked examples before a question.
        version: the spec's; None when it was not kept.
    """

    name: str
    alias: str
    metrics: Sequence[Metric]
    children: Sequence[str]
    count: int
    shots: int
    version: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a model was asked, as it is called there."""

    tasks: Sequence[Task]
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class _Read:
    """One evaluation, read once: with many parts each look into the store takes its time.

    Attributes:
        name: the task or benchmark.
        suite: "task" or "benchmark".
        items: what was asked.
        responses: by the item's id.
        scores: by part ("" is the whole) and metric, with the ids of the items they count.
        names: their names of metrics by ours.
        told: what `evaluation.json` says of it.
    """

    name: str
    suite: str
    items: Sequence[Item]
    responses: Mapping[str, Response]
    scores: Mapping[str, Mapping[str, tuple[ItemScores, tuple[str, ...]]]]
    names: Mapping[str, str]
    told: Mapping[str, Any]

    @property
    def parts(self) -> list[str]:
        """The parts that items are of and that were scored, in the order of items."""
        return [
            part for part in dict.fromkeys(item.part for item in self.items) if part and part in self.scores
        ]


def measured(evaluations: Sequence[Evaluation], told: Mapping[str, Mapping[str, Any]]) -> Measured:
    """Tasks and groups of one model's evaluations.

    Args:
        evaluations: scored ones.
        told: by benchmark, what `evaluation.json` says of it: `version`, and `sizes` by part where a sample was asked.
    """
    name = _unlike()
    tasks: list[Task] = []
    groups: list[Group] = []
    for evaluation in evaluations:
        one = _read(evaluation, told.get(evaluation.name, {}) if evaluation.suite == "benchmark" else {})
        whole = name(one.name)
        if not one.parts:
            tasks.append(_task(one, "", whole, one.name))
            continue
        made = {part: _task(one, part, name(f"{whole}_{part}"), part) for part in one.parts}
        tasks += made.values()
        groups += _groups(one, whole, made, name)
    return Measured(tuple(tasks), tuple(groups))


def _read(one: Evaluation, told: Mapping[str, Any]) -> _Read:
    scores = {part: one.item_scores(part) for part in one.parts()}
    names = _theirs(metric for own in scores.values() for metric in own)
    items, responses = one.items(), one.responses()
    if missing := [item.id for item in items if item.id not in responses]:
        raise InputError(
            f"{one.name} was scored, and {len(missing)} of its items have no answer",
            where=one.name,
            found=f"none to {missing[0]!r}",
            fix="run the command that made it again: what is missing is asked",
        )
    return _Read(one.name, one.suite, items, responses, scores, names, told)


def _task(one: _Read, part: str, name: str, alias: str) -> Task:
    items = [item for item in one.items if not part or item.part == part]
    sizes: Mapping[str, Any] = one.told.get("sizes", {})
    return Task(
        name=name,
        alias=alias,
        suite=one.suite,
        metrics=_metrics(one, part),
        items=items,
        responses=one.responses,
        original=int(sizes.get(part, len(items))),
        version=one.told.get("version"),
    )


def _groups(one: _Read, whole: str, tasks: Mapping[str, Task], name: Callable[[str], str]) -> list[Group]:
    """The benchmark, and its groups of parts below it; averages over parts are further metrics of the benchmark."""
    others = [part for part in one.scores if part and part not in tasks]
    averages = [part for part in others if _is_average(one, part)]
    found: list[Group] = []
    for part in (part for part in others if part not in averages):
        own = {item_id for _, ids in one.scores[part].values() for item_id in ids}
        members = [task for task in tasks.values() if any(item.id in own for item in task.items)]
        found.append(_group(one, name(f"{whole}_{part}"), part, _metrics(one, part), members))
    below = {child for group in found for child in group.children}
    metrics = [
        *_metrics(one, ""),
        *(metric for part in averages for metric in _metrics(one, part, f"_{part}")),
    ]
    top = _group(one, whole, one.name, metrics, list(tasks.values()))
    children = [*(group.name for group in found), *(child for child in top.children if child not in below)]
    return [replace(top, children=children), *found]


def _group(one: _Read, name: str, alias: str, metrics: Sequence[Metric], members: Sequence[Task]) -> Group:
    return Group(
        name=name,
        alias=alias,
        metrics=metrics,
        children=[task.name for task in members],
        count=sum(len(task.items) for task in members),
        shots=max((task.shots for task in members), default=0),
        version=one.told.get("version"),
    )


def _metrics(one: _Read, part: str, suffix: str = "") -> list[Metric]:
    return [
        Metric(
            name=one.names[metric] + suffix,
            value=scored.score.value,
            error=None if suffix else _error(scored),
            higher_is_better=scored.higher_is_better,
            by_item={
                item_id: value
                for item_id, value in zip(ids, scored.items.tolist(), strict=True)
                if math.isfinite(value)
            },
        )
        for metric, (scored, ids) in one.scores.get(part, {}).items()
    ]


def _theirs(metrics: Iterable[str]) -> dict[str, str]:
    """Their names of metrics; of two that are called alike there the second keeps its own."""
    known: dict[str, str] = {}
    for metric in dict.fromkeys(metrics):
        theirs = _table().get(metric, metric)
        known[metric] = metric if theirs in known.values() else theirs
    return known


@cache
def _table() -> Mapping[str, str]:
    found: Mapping[str, str] = yamltext.table("tutelage.results.lm_eval", "names.yaml")
    return found


def _error(scored: ItemScores) -> float | None:
    """The standard error of the mean, which only a metric that is its items' mean has (lm_eval/api/metrics.py, mean_stderr)."""
    items = scored.items
    if len(items) < 2 or not math.isclose(float(items.mean()), scored.score.value, abs_tol=_SAME):
        return None
    return float(items.std(ddof=1)) / math.sqrt(len(items))


def _is_average(one: _Read, part: str) -> bool:
    return any(scored.averaged for scored, _ in one.scores[part].values())


def _unlike() -> Callable[[str], str]:
    """Names fit for files, each once; of several that come to the same the later ones get a number."""
    taken: set[str] = set()

    def name(wanted: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9.-]+", "_", wanted).strip("_.") or "task"
        found, number = plain, 2
        while found.lower() in taken:
            found, number = f"{plain}_{number}", number + 1
        taken.add(found.lower())
        return found

    return name
