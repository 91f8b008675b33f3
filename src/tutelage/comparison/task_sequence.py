"""Tasks taught one after the other: the matrix of scores by stage and task, and four figures of transfer and forgetting.

R[i][j] is the score of task j after stage i, in points of 0 to 100; R[0] is the original base, and T the last stage. A stage may
teach several tasks; s(j) is the stage of task j.

    average accuracy    mean over j of R[T][j]
    backward transfer   mean over j taught before T of R[T][j] - R[s(j)][j]
    forward transfer    mean over j taught after stage 1 of R[s(j)-1][j] - R[0][j]
    average forgetting  mean over j taught before T of max over 1 <= l < T of R[l][j], minus R[T][j]

The first three are those of D. Lopez-Paz and M. Ranzato, "Gradient Episodic Memory for Continual Learning", 2017, arXiv
1706.08840, the pretrained base in the place of random weights; the last is that of A. Chaudhry et al., "Riemannian Walk for
Incremental Learning", 2018, arXiv 1801.10112.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.comparison import wording
from tutelage.comparison.task_comparison import Estimate, PairedScores, gain_in_points
from tutelage.comparison.wording import format_number
from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.metrics import ItemScores
from tutelage.metrics.catalogue import parse
from tutelage.metrics.implementation import implementation
from tutelage.metrics.metric_intervals import by_cluster
from tutelage.metrics.stats import bootstrap
from tutelage.metrics.stats.arrays import Floats

RESAMPLES = 2000
MAX_NAMED = 3
ORIGINAL = 0
"""The stage of the original base."""
Points = Mapping[int, Floats]
"""A task's scores in points by stage, each float64 of shape (b,): of all items, or of b resamples of them."""


@dataclass(frozen=True, slots=True)
class SequenceTask:
    """A task of the sequence.

    Attributes:
        name: the task.
        stage: the stage that taught it, from 1.
        scores: its primary metric by stage, on the same items; stages after which it was not asked are missing.
    """

    name: str
    stage: int
    scores: Mapping[int, ItemScores]

    @property
    def metric(self) -> str:
        """Its primary metric."""
        return self.scores[self.stage].metric


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over tasks in points, with its 95 % interval."""

    value: float
    low: float
    high: float
    tasks: int


@dataclass(frozen=True, slots=True)
class TaskSequence:
    """The matrix of a sequence and its figures.

    Attributes:
        stages: the last stage, T.
        tasks: the tasks in the order in which they were taught.
        without: (name, metric) of the tasks that are left out, because their primary metric is not on a scale of 0 to 100 on which
            more is better.
        accuracy, backward_transfer, forward_transfer, average_forgetting: the figures; None where no task counts.
        changes: by earlier task, its score now minus that after its own stage, paired by item.
        seed: of the resamples.
    """

    stages: int
    tasks: tuple[SequenceTask, ...]
    without: tuple[tuple[str, str], ...]
    accuracy: Figure | None
    backward_transfer: Figure | None
    forward_transfer: Figure | None
    average_forgetting: Figure | None
    changes: Mapping[str, Estimate]
    seed: int = 0

    def points(self, task: SequenceTask, stage: int) -> float:
        """R[stage][task]."""
        return task.scores[stage].score.value * _points(task.metric)

    def sentence(self) -> str:
        """What the last stage did to the tasks before it, for people."""
        taught = [task.name for task in self.tasks if task.stage == self.stages]
        earlier = [task for task in self.tasks if task.stage < self.stages]
        if not earlier or self.average_forgetting is None:
            return "No earlier task has a score in points, so what was forgotten of them has no number."
        shown = [self._change(task) for task in earlier[:MAX_NAMED]]
        more = len(earlier) - len(shown)
        figure = self.average_forgetting
        ends = f"95 % interval {format_number(figure.low)} to {format_number(figure.high)}"
        return (
            f"After teaching {_names(taught) or f'stage {self.stages}'}, {', '.join(shown)}"
            f"{f' and {more} more' if more else ''}; "
            f"average forgetting {format_number(figure.value)} points ({ends})."
        )

    def _change(self, task: SequenceTask) -> str:
        before, after = (format_number(self.points(task, stage)) for stage in (task.stage, self.stages))
        if before == after:
            return f"{task.name} stayed at {after}"
        verb = "rose" if self.changes[task.name].value > 0 else "fell"
        return f"{task.name} {verb} from {before} to {after}"

    def as_json(self) -> dict[str, Any]:
        """The sequence as in results.json; all scores in points, missing cells and figures left out."""
        figures = {name: getattr(self, name) for name in FIGURES}
        return {
            "tasks": {task.name: self._task_json(task) for task in self.tasks},
            "without": [{"name": name, "metric": metric} for name, metric in self.without],
            "figures": {
                name: {"value": figure.value, "low": figure.low, "high": figure.high, "tasks": figure.tasks}
                for name, figure in figures.items()
                if figure is not None
            },
            "resamples": RESAMPLES,
            "seed": self.seed,
            "sentence": self.sentence(),
        }

    def _task_json(self, task: SequenceTask) -> dict[str, Any]:
        factor = _points(task.metric)
        scores = {
            str(stage): {
                "value": factor * items.score.value,
                "low": factor * items.score.low,
                "high": factor * items.score.high,
                "n": items.score.n,
            }
            for stage, items in sorted(task.scores.items())
        }
        change = {"change": self.changes[task.name]._asdict()} if task.name in self.changes else {}
        return {"stage": task.stage, "metric": task.metric, "scores": scores, **change}


FIGURES = ("accuracy", "backward_transfer", "forward_transfer", "average_forgetting")


def in_points(metric: str) -> bool:
    """Whether a metric is on a scale of 0 to 100 on which more is better, so that its tasks can stand in the matrix."""
    words = wording.metric_wording(metric)
    return words.higher_is_better and words.points is not None


def task_sequence(
    tasks: Sequence[SequenceTask], *, seed: int = 0, resamples: int = RESAMPLES
) -> TaskSequence:
    """Compute the figures of a sequence, each with the interval between the 2.5th and the 97.5th percentile of a paired bootstrap.

    A resample draws each task's items once for all stages (whole clusters, where items share one), and computes every score on
    them anew, the largest of average forgetting included. Tasks are fixed: nothing is said of other tasks.

    Args:
        tasks: the tasks of all stages.
        seed: of the resamples.
        resamples: how many.

    Raises:
        InputError: a task was scored on other items after one stage than after another, or a cell that the figures need is missing.
    """
    counted = tuple(task for task in tasks if in_points(task.metric))
    last = max(task.stage for task in tasks)
    for task in counted:
        _require_cells(task, last)
        _require_same_items(task)
    observed = [
        (
            task.stage,
            {
                stage: np.array([_points(task.metric) * items.score.value])
                for stage, items in task.scores.items()
            },
        )
        for task in counted
    ]
    drawn = [(task.stage, _resampled(task, seed, resamples)) for task in counted]
    values, draws = (_figures(sides, last) for sides in (observed, drawn))
    return TaskSequence(
        stages=last,
        tasks=counted,
        without=tuple((task.name, task.metric) for task in tasks if not in_points(task.metric)),
        changes={
            task.name: _change_since_own_stage(task, last, seed) for task in counted if task.stage < last
        },
        seed=seed,
        **{name: _figure(values[name], draws[name]) for name in FIGURES},
    )


def _figures(tasks: Sequence[tuple[int, Points]], last: int) -> dict[str, list[Floats]]:
    """The terms of each figure's mean: one of shape (b,) for every task that counts."""
    earlier = [(stage, points) for stage, points in tasks if stage < last]
    later = [(stage, points) for stage, points in tasks if stage > 1]
    return {
        "accuracy": [points[last] for _, points in tasks],
        "backward_transfer": [points[last] - points[stage] for stage, points in earlier],
        "forward_transfer": [points[stage - 1] - points[ORIGINAL] for stage, points in later],
        "average_forgetting": [
            np.max([values for stage, values in points.items() if 1 <= stage < last], axis=0) - points[last]
            for _, points in earlier
        ],
    }


def _figure(observed: Sequence[Floats], drawn: Sequence[Floats]) -> Figure | None:
    if not observed:
        return None
    means = np.mean(drawn, axis=0)
    means = means[np.isfinite(means)]
    low, high = np.quantile(means, [0.025, 0.975]) if len(means) else (-100.0, 100.0)
    return Figure(float(np.mean(observed)), float(low), float(high), len(observed))


def _resampled(task: SequenceTask, seed: int, resamples: int) -> Points:
    """The scores of all stages on the same resamples: each stage's draws begin at the same state of the generator."""
    spec = parse(task.metric)
    values = {}
    for stage, items in task.scores.items():
        units = len(items.items) if items.clusters is None else int(items.clusters.max()) + 1
        estimator = by_cluster(implementation(spec).estimator(spec, items.statistics), items.clusters)
        values[stage] = _points(task.metric) * bootstrap.resample(
            estimator,
            np.ones(units, np.int64),
            rng=seeds.generator(seed, "sequence", task.name),
            resamples=resamples,
        )
    return values


def _change_since_own_stage(task: SequenceTask, last: int, seed: int) -> Estimate:
    before, after = ({task.metric: task.scores[stage]} for stage in (task.stage, last))
    change = gain_in_points(PairedScores(task.metric, before, after), seed=seed)
    assert change is not None  # the metric is in points
    return change[0]


def _require_cells(task: SequenceTask, last: int) -> None:
    needed = {ORIGINAL, *range(task.stage - 1, last + 1)}
    if missing := sorted(needed - task.scores.keys()):
        raise InputError(
            f"the task {task.name} was not scored after every stage that counts",
            found=f"no scores after {_stage_names(missing)}",
            expected="scores of the original base, and from the stage before its own on",
            fix="run the recipe of that stage again: it asks what is missing",
        )
    if bad := sorted(stage for stage in needed if not math.isfinite(task.scores[stage].score.value)):
        raise InputError(f"the task {task.name} has no finite score", found=_stage_names(bad))


def _require_same_items(task: SequenceTask) -> None:
    first = task.scores[ORIGINAL]
    for stage, items in task.scores.items():
        if items.rows != first.rows or not np.array_equal(items.clusters, first.clusters):  # type: ignore[arg-type] # None equals None
            raise InputError(
                f"the task {task.name} was scored on other items after {_stage_names([stage])}",
                found=f"{len(items.rows)} items against {len(first.rows)}",
                expected="the same items after every stage",
                fix="run the recipes of all stages on the same data",
            )


def _stage_names(stages: Sequence[int]) -> str:
    return ", ".join(f"stage {stage}" if stage else "the original base" for stage in stages)


def _names(names: Sequence[str]) -> str:
    shown = names[:MAX_NAMED]
    more = len(names) - len(shown)
    return " and ".join([", ".join(shown), *([f"{more} more"] if more else [])]) if shown else ""


def _points(metric: str) -> float:
    points = wording.metric_wording(metric).points
    assert points is not None  # `in_points`
    return points
