"""Plans which tasks of a recipe are read: `one_task_per: file` expanded, tasks of held-out clusters tested only.

A task is unseen only when no task of its cluster, or of a cluster too near to it, was trained on (Wei et al. 2022,
section 2.1): held-out tasks keep their test rows alone, and tasks of the nearby clusters leave the recipe.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tutelage.config.schema import Recipe
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, raise_all
from tutelage.data import files_of
from tutelage.data.formats.blocks import is_compressed
from tutelage.mixture import clusters


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The tasks of a recipe that are read.

    Attributes:
        tasks: the tasks.
        locations: the place of each in the recipe (`tasks.0`).
        held_out: the names of those that are tested only.
        excluded: (task, cluster) of those that are neither trained nor tested on, being too near to a held-out cluster.
    """

    tasks: tuple[Task, ...]
    locations: tuple[str, ...]
    held_out: frozenset[str] = frozenset()
    excluded: tuple[tuple[str, str], ...] = ()


def task_source(task: Task) -> str:
    """The data set that a task's rows come from: its `source`, or a known data set that its name begins with."""
    name = task.source or task.name
    return clusters.dataset_of(name) or name


def task_cluster(task: Task) -> str | None:
    """The cluster that a task belongs to: its `cluster`, or that of its data set."""
    return task.cluster or clusters.cluster_of(task_source(task))


def plan_tasks(recipe: Recipe, data_dir: Path | None) -> TaskPlan:
    """Expand `one_task_per: file`, and decide which tasks are held out and which leave the recipe.

    Args:
        recipe: the recipe.
        data_dir: the folder of `local` data files.

    Raises:
        InputError: a file or cluster does not exist, two tasks have one name, or a training task has the data set of a
            held-out one; InputErrors for several.
    """
    stated = [(f"tasks.{number}", task) for number, task in enumerate(recipe.tasks)]
    if recipe.replay is not None and recipe.replay.pool is not None:
        stated.append(("replay.from", recipe.replay.pool))
    located = [
        (where, task) for where, block in stated for task in _one_a_file(block, recipe.root, data_dir, where)
    ]
    _check_names([task.name for _, task in located])
    cluster_of = {task.name: task_cluster(task) for _, task in located}
    near = clusters.held_out(recipe.hold_out, {cluster for cluster in cluster_of.values() if cluster})
    held_out = frozenset(name for name, cluster in cluster_of.items() if cluster in recipe.hold_out)
    excluded = {
        name: str(cluster) for name, cluster in cluster_of.items() if cluster in near and name not in held_out
    }
    remaining = [(where, task) for where, task in located if task.name not in excluded]
    raise_all("hold_out", list(_hold_out_errors(recipe, remaining, held_out, excluded)))
    return TaskPlan(
        tuple(task for _, task in remaining),
        tuple(where for where, _ in remaining),
        held_out,
        tuple(excluded.items()),
    )


def _one_a_file(task: Task, root: Path, data_dir: Path | None, where: str) -> Iterator[Task]:
    """With `one_task_per: file` a task for each data file, else the task itself."""
    if task.one_task_per is None:
        yield task
        return
    data = task.data
    if data.hub is not None:
        raise InputError(
            "one_task_per: file goes with files, not with the hub",
            where=f"{where}.one_task_per",
            found=f"hub: {data.hub}",
            expected="data with path, or with local alone",
            fix="name the files as path: folder/*.jsonl",
        )
    base = root if data.path is not None else data_dir
    for path in files_of(data.source(), root=root, data_dir=data_dir):
        assert base is not None
        stem = path.stem if not is_compressed(path) else Path(path.stem).stem
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")
        relative = os.path.relpath(path, base)
        location = {"path": relative} if data.path is not None else {"local": relative}
        yield task.model_copy(
            update={
                "name": f"{task.name}-{name}",
                "data": data.model_copy(update=location),
                "source": task.source or clusters.dataset_of(stem) or stem,
                "one_task_per": None,
            }
        )


def _check_names(names: list[str]) -> None:
    raise_all(
        "tasks",
        [
            InputError(
                "two tasks have one name",
                where="tasks",
                found=name,
                expected="a name of its own for every task",
                fix="give the task another name, or its files",
            )
            for name, count in sorted(Counter(names).items())
            if count > 1
        ],
    )


def _hold_out_errors(
    recipe: Recipe, located: list[tuple[str, Task]], held_out: frozenset[str], excluded: Mapping[str, str]
) -> Iterator[InputError]:
    """An error for each training task that has the data set of a held-out one, and for a replay that is not trained on."""
    replay = "" if recipe.replay is None else recipe.replay.name
    if replay in excluded:
        yield InputError(
            "the replayed task is too near to a held-out cluster",
            where="replay.from",
            found=f"{replay} of the cluster {excluded[replay]}",
            expected="rows of a cluster that is not near " + ", ".join(recipe.hold_out),
            fix="replay something else, or do not hold this cluster out",
        )
    held_out_by_source = {task_source(task): task.name for _, task in located if task.name in held_out}
    for where, task in located:
        other = held_out_by_source.get(task_source(task))
        if task.name not in held_out and other is not None:
            yield InputError(
                "a held-out task is in training",
                where=where,
                found=f"{task.name} of {task_source(task)}, which {other} is held out of",
                expected="every task of that data set on one side",
                fix=f"say cluster: {recipe.hold_out[0]} in {task.name} too, or take it out",
            )
    if replay in held_out:
        yield InputError(
            "a held-out task is in training",
            where="replay.from",
            found=replay,
            expected="a task of another cluster",
            fix="replay another task, or do not hold out its cluster",
        )
    if all(task.name in held_out for _, task in located):
        yield InputError(
            "everything is held out",
            where="hold_out",
            found=", ".join(recipe.hold_out),
            expected="at least one task that is taught",
            fix="add tasks of other clusters",
        )
