"""Gain on the trained tasks, forgetting on the watched benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tutelage.comparison import wording
from tutelage.comparison.budget_words import BudgetWord, budget_word
from tutelage.comparison.budgets import Budget, Nats, no_log_probabilities
from tutelage.comparison.nats_words import NatsWord
from tutelage.comparison.reach import ReachWord, reach_word
from tutelage.comparison.task_comparison import (
    PairedScores,
    TaskComparison,
    adjust_p_values,
    compare_task,
)
from tutelage.comparison.task_means import BEST_ON_VALIDATION, TaskMeans, mean_over_tasks
from tutelage.comparison.verdict import SideNames, Verdict, verdict
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.metrics import holm
from tutelage.metrics.answer_log_probability import loss_in_nats


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same items: their scores, the differences, and the verdict."""

    tasks: Mapping[str, TaskComparison]
    watched: Mapping[str, TaskComparison]
    verdict: Verdict
    groups: Sequence[TaskMeans] = ()
    budgets: Mapping[str, BudgetWord | NatsWord] = field(default_factory=dict)

    @property
    def over_budget(self) -> bool:
        """Whether something lost more than its stated budget, not by chance: exit code 1."""
        return bool(self.verdict.over_budget)

    def as_json(self) -> dict[str, Any]:
        """`tasks`, `watched` and `verdict` as in results.json, and `groups` where tasks are averaged."""
        return {
            "tasks": {name: task.as_json() for name, task in self.tasks.items()},
            **({"groups": {group.name: group.as_json() for group in self.groups}} if self.groups else {}),
            "watched": {
                name: {
                    **benchmark.as_json(),
                    **({"budget": self.budgets[name].as_json()} if name in self.budgets else {}),
                }
                for name, benchmark in self.watched.items()
            },
            "verdict": self.verdict.as_json(),
        }


def compare_models(
    tasks: Mapping[str, PairedScores],
    watched: Mapping[str, PairedScores],
    *,
    budgets: Mapping[str, Budget] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    targets: Mapping[str, Mapping[str, float]] | None = None,
    facts: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    names: SideNames | None = None,
) -> Comparison:
    """Compare two models item by item and judge.

    Args:
        tasks: the trained tasks, by name.
        watched: what must not be lost, by name.
        budgets: points (0-100) or nats that a watched benchmark may lose at most; 5 points for those without one, which never
            makes `over_budget`.
        groups: names of tasks that are averaged together, by the group's name.
        targets: by task, the points (0-100) that the tuned model is to reach, by metric.
        facts: by task, what the sentence says behind the numbers, such as that the base was never told the labels.
        seed: of the paired tests.
        names: of the two sides in the sentence.

    Raises:
        InputError: the two sides were not scored by the same metrics, or a budget names nothing that is watched.
    """
    budgets = dict(budgets or {})
    _check_budgets(budgets, watched)
    of_tasks, of_watched = (
        adjust_p_values(compare_task(name, scores, seed=seed) for name, scores in side.items())
        for side in (tasks, watched)
    )
    of_watched = _with_nats(of_watched, watched, budgets)
    of_tasks = [
        replace(
            task,
            reach=_reach(task, (targets or {}).get(task.name, {})),
            facts=tuple((facts or {}).get(task.name, ())),
        )
        for task in of_tasks
    ]
    means = [
        mean_over_tasks(name, scores, seed=seed)
        for group, members in (groups or {}).items()
        for name, scores in _averaged(group, {task: tasks[task] for task in members})
    ]
    return Comparison(
        groups=tuple(mean for mean in means if mean is not None),
        tasks={task.name: task for task in of_tasks},
        watched={benchmark.name: benchmark for benchmark in of_watched},
        budgets={
            benchmark.name: budget_word(benchmark, budgets[benchmark.name])
            for benchmark in of_watched
            if benchmark.name in budgets
        },
        verdict=verdict(of_tasks, of_watched, budgets=budgets, names=names or SideNames()),
    )


def _reach(task: TaskComparison, targets: Mapping[str, float]) -> tuple[ReachWord, ...]:
    """The task's scores against its targets; a metric that counts no item has no score."""
    return tuple(
        reach_word(metric, task.tuned[metric], points)
        for metric, points in targets.items()
        if metric in task.tuned
    )


def _with_nats(
    comparisons: Sequence[TaskComparison], watched: Mapping[str, PairedScores], budgets: Mapping[str, Budget]
) -> list[TaskComparison]:
    """Set the losses in nats of what has such a budget, with p adjusted (Holm) over these."""
    losses = {}
    for name in (name for name, budget in budgets.items() if isinstance(budget, Nats)):
        pair = watched[name].answer_log_probabilities
        assert pair is not None  # the budgets were checked
        losses[name] = loss_in_nats(*pair)
    adjusted = dict(zip(losses, holm([loss.p for loss in losses.values()]), strict=True))
    return [
        replace(each, nats=replace(losses[each.name], p_adjusted=adjusted[each.name]))
        if each.name in losses
        else each
        for each in comparisons
    ]


def _averaged(
    group: str, tasks: Mapping[str, PairedScores]
) -> Iterator[tuple[str, Mapping[str, PairedScores]]]:
    """A group of tasks and, where some are asked in all wordings, these in their best one."""
    yield group, tasks
    in_best = {
        name: task.parts[BEST_ON_VALIDATION]
        for name, task in tasks.items()
        if BEST_ON_VALIDATION in task.parts
    }
    if in_best:
        yield f"{group}, {BEST_ON_VALIDATION}", in_best


def _check_budgets(budgets: Mapping[str, Budget], watched: Mapping[str, PairedScores]) -> None:
    for name, budget in budgets.items():
        where = f"retain.{name}"
        if name not in watched:
            raise InputError(
                "a budget for something that is not watched",
                where=where,
                found=name,
                expected=", ".join(watched) or "nothing is watched",
                fix=did_you_mean(name, list(watched), form="{!r}")
                or "add it to `watch`, or take it out of `retain`",
            )
        if isinstance(budget, Nats):
            _require_nats(name, watched[name], budget)
            continue
        if not 0 <= budget <= 100:
            raise InputError("not a budget", where=where, found=str(budget), expected="points from 0 to 100")
        if wording.budget_points(watched[name].primary) is None:
            raise InputError(
                "a budget in points for a metric that has no scale of 0 to 100",
                where=where,
                found=watched[name].primary,
                fix="take it out of `retain`, or watch the benchmark by another metric",
            )


def _require_nats(name: str, scores: PairedScores, budget: Nats) -> None:
    """Check that a budget in nats applies to a benchmark.

    Raises:
        InputError: it is not above 0, or right answers have no log-probabilities.
    """
    if not budget.amount > 0:
        raise InputError(
            "not a budget", where=f"retain.{name}", found=f"{budget.amount:g} nats", expected="nats above 0"
        )
    if scores.answer_log_probabilities is None:
        raise no_log_probabilities(name, "answers without log-probabilities")
