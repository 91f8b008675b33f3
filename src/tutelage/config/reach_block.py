"""The targets of a recipe's tasks, `reach`, against their metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tutelage.comparison import wording
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.yamltext import FieldPath
from tutelage.metrics.catalogue import expand


def find_contradictions(recipe: Mapping[str, Any], where: Callable[[FieldPath], str]) -> Iterator[InputError]:
    """Find targets of metrics that the task is not scored by, or that have no scale of 0 to 100."""
    tasks = recipe.get("tasks")
    for index, task in enumerate(tasks if isinstance(tasks, list) else []):
        reach = task.get("reach") if isinstance(task, Mapping) else None
        if not isinstance(reach, Mapping):
            continue
        scored_by = _metrics(task.get("metrics", list(Task.model_fields["metrics"].default)))
        if scored_by is None:
            continue
        for metric in reach:
            place = where(("tasks", index, "reach", metric))
            if metric not in scored_by:
                yield InputError(
                    "a target for a metric that the task is not scored by",
                    where=place,
                    found=str(metric),
                    expected=f"one of {', '.join(scored_by)}",
                    fix=did_you_mean(str(metric), scored_by)
                    or f"add {metric} to metrics, or remove the target",
                )
            elif wording.budget_points(metric) is None:
                yield InputError(
                    "a target in points for a metric that has no scale of 0 to 100 with a better end",
                    where=place,
                    found=str(metric),
                    expected=", ".join(name for name in scored_by if wording.budget_points(name))
                    or "another metric",
                    fix="remove the target, or score the task by another metric too",
                )


def _metrics(named: Any) -> list[str] | None:
    """The metrics of a task, groups by their members; None where they are wrong by themselves."""
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return None
    try:
        return expand(named)
    except InputError:
        return None
