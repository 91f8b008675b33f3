"""Tasks and benchmarks as tasks and groups there: each part of a benchmark is a task, the benchmark and its groups of parts are groups."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from tutelage.core.nouns import Response
from tutelage.metrics.score import Scored
from tutelage.results.evaluation import Evaluation, Item

_AVERAGE = "|average:"  # in the signature of an average over parts
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
    """A benchmark with parts, or a group of its parts; `children` are names of groups and tasks, `count` its items."""

    name: str
    alias: str
    metrics: Sequence[Metric]
    children: Sequence[str]
    count: int
    version: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a model was asked, as it is called there."""

    tasks: Sequence[Task]
    groups: Sequence[Group]


def measured(evaluations: Sequence[Evaluation], told: Mapping[str, Mapping[str, Any]]) -> Measured:
    """Tasks and groups of one model's evaluations.

    Args:
        evaluations: scored ones.
        told: by benchmark, what `evaluation.json` says of it: `version`, and `sizes` by part where a sample was asked.
    """
    name = _unlike()
    tasks: list[Task] = []
    groups: list[Group] = []
    for one in evaluations:
        own = told.get(one.name, {}) if one.suite == "benchmark" else {}
        parts = [part for part in dict.fromkeys(item.part for item in one.items()) if part in one.parts()]
        parts = [part for part in parts if part]
        whole = name(one.name)
        if not parts:
            tasks.append(_task(one, "", whole, one.name, own))
            continue
        made = {part: _task(one, part, name(f"{whole}_{part}"), part, own) for part in parts}
        tasks += made.values()
        groups += _groups(one, whole, made, name, own)
    return Measured(tuple(tasks), tuple(groups))


def _task(one: Evaluation, part: str, name: str, alias: str, told: Mapping[str, Any]) -> Task:
    items = [item for item in one.items() if not part or item.part == part]
    sizes: Mapping[str, Any] = told.get("sizes", {})
    return Task(
        name=name,
        alias=alias,
        suite=one.suite,
        metrics=_metrics(one, part),
        items=items,
        responses=one.responses(),
        original=int(sizes.get(part, len(items))),
        version=told.get("version"),
    )


def _groups(
    one: Evaluation,
    whole: str,
    tasks: Mapping[str, Task],
    name: Callable[[str], str],
    told: Mapping[str, Any],
) -> list[Group]:
    """The benchmark, and its groups of parts below it; averages over parts are further metrics of the benchmark."""
    version = told.get("version")
    others = [part for part in one.parts() if part and part not in tasks]
    averages = [part for part in others if _is_average(one, part)]
    found: list[Group] = []
    for part in (part for part in others if part not in averages):
        own = {item_id for _, ids in one.item_scores(part).values() for item_id in ids}
        members = [task for task in tasks.values() if any(item.id in own for item in task.items)]
        count = sum(len(task.items) for task in members)
        children = [task.name for task in members]
        found.append(Group(name(f"{whole}_{part}"), part, _metrics(one, part), children, count, version))
    below = {child for group in found for child in group.children}
    children = [
        *(group.name for group in found),
        *(task.name for task in tasks.values() if task.name not in below),
    ]
    metrics = [
        *_metrics(one, ""),
        *(metric for part in averages for metric in _metrics(one, part, f"_{part}")),
    ]
    return [Group(whole, one.name, metrics, children, len(one.items()), version), *found]


def _metrics(one: Evaluation, part: str, suffix: str = "") -> list[Metric]:
    names = _theirs(metric for own in one.parts() for metric in one.scores(own))
    return [
        Metric(
            name=names[metric] + suffix,
            value=scored.score.value,
            error=None if suffix else _error(scored),
            higher_is_better=scored.higher_is_better,
            by_item={
                item_id: value
                for item_id, value in zip(ids, scored.items.tolist(), strict=True)
                if math.isfinite(value)
            },
        )
        for metric, (scored, ids) in one.item_scores(part).items()
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
    text = files("tutelage.results.lm_eval").joinpath("names.yaml").read_text("utf-8")
    found: Mapping[str, str] = yaml.safe_load(text)
    return found


def _error(scored: Scored) -> float | None:
    """The standard error of the mean, which only a metric that is its items' mean has (lm_eval/api/metrics.py, mean_stderr)."""
    items = scored.items
    if len(items) < 2 or not math.isclose(float(items.mean()), scored.score.value, abs_tol=_SAME):
        return None
    return float(items.std(ddof=1)) / math.sqrt(len(items))


def _is_average(one: Evaluation, part: str) -> bool:
    return any(_AVERAGE in scored.score.signature for scored in one.scores(part).values())


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
