"""Gain on the tasks taught, forgetting on what is watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import wording
from tutelage.comparison.outcome import Outcome, PairedScores, adjusted, outcome
from tutelage.comparison.task_means import Group, mean_over_tasks
from tutelage.comparison.verdict import SideNames, Verdict, verdict
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same items: what they scored, what differs, and the verdict."""

    tasks: Mapping[str, Outcome]
    watched: Mapping[str, Outcome]
    verdict: Verdict
    groups: Sequence[Group] = ()

    @property
    def over_budget(self) -> bool:
        """Whether something lost more than its stated budget, not by chance: exit code 1."""
        return bool(self.verdict.over_budget)

    def as_json(self) -> dict[str, Any]:
        """`tasks`, `watched` and `verdict` as results.json holds them, and `groups` where tasks are summed up."""
        return {
            "tasks": {name: one.as_json() for name, one in self.tasks.items()},
            **({"groups": {one.name: one.as_json() for one in self.groups}} if self.groups else {}),
            "watched": {name: one.as_json() for name, one in self.watched.items()},
            "verdict": self.verdict.as_json(),
        }


def compare(
    tasks: Mapping[str, PairedScores],
    watched: Mapping[str, PairedScores],
    *,
    budgets: Mapping[str, float] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    names: SideNames | None = None,
) -> Comparison:
    """Compare two models item by item and judge.

    Args:
        tasks: what was taught, by name.
        watched: what must not be lost, by name.
        budgets: points (0-100) that a watched benchmark may lose at most; 5 for those without one, which never makes
            `over_budget`.
        groups: names of tasks that are summed up together, by what they have in common.
        seed: of the paired tests.
        names: how the two sides are called in the sentence.

    Raises:
        InputError: the two sides were not scored alike, or a budget names nothing that is watched.
    """
    budgets = dict(budgets or {})
    _check_budgets(budgets, watched)
    taught = adjusted(outcome(name, measured, seed=seed) for name, measured in tasks.items())
    kept = adjusted(outcome(name, measured, seed=seed) for name, measured in watched.items())
    means = [
        mean_over_tasks(name, {task: tasks[task] for task in members}, seed=seed)
        for name, members in (groups or {}).items()
    ]
    return Comparison(
        groups=tuple(one for one in means if one is not None),
        tasks={one.name: one for one in taught},
        watched={one.name: one for one in kept},
        verdict=verdict(taught, kept, budgets=budgets, names=names or SideNames()),
    )


def _check_budgets(budgets: Mapping[str, float], watched: Mapping[str, PairedScores]) -> None:
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
        if not 0 <= budget <= 100:
            raise InputError("not a budget", where=where, found=str(budget), expected="points from 0 to 100")
        if wording.metric_wording(watched[name].primary).points is None:
            raise InputError(
                "a budget in points for a metric that has no scale of 0 to 100",
                where=where,
                found=watched[name].primary,
                fix="take it out of `retain`, or watch the benchmark by another metric",
            )
