"""A recipe's tasks as they will be read: one a file where it says so, each with its source, and those that are held out.

A task is unseen only when no task of its cluster, and none of the clusters too near to it, was trained on (Wei et al. 2022,
section 2.1): held-out tasks keep their test rows and lose the others, their neighbours leave the recipe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tutelage.config.schema import Recipe
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, raise_all
from tutelage.data import files_of
from tutelage.data.formats.blocks import packed
from tutelage.mixture import clusters


@dataclass(frozen=True, slots=True)
class Expanded:
    """A recipe's tasks to be read.

    Attributes:
        tasks: those that are taught or asked.
        places: where each stands in the recipe (`tasks.0`).
        held_out: the names of those that are only asked.
        left_out: names and clusters of those that are neither, as they are too near to a held-out cluster.
    """

    tasks: tuple[Task, ...]
    places: tuple[str, ...]
    held_out: frozenset[str] = frozenset()
    left_out: tuple[tuple[str, str], ...] = ()


def source_of(task: Task) -> str:
    """The data set that a task's rows come from: as the task says it, or as its name begins."""
    said = task.source or task.name
    return clusters.data_set_of(said) or said


def cluster_of(task: Task) -> str | None:
    """The cluster that a task belongs to: as it says, or as its source does."""
    return task.cluster or clusters.cluster_of(source_of(task))


def expand(recipe: Recipe, data_dir: Path | None) -> Expanded:
    """The recipe's tasks, one a file where a task says so, less those that must not be trained on.

    Raises:
        InputError: a file or cluster that is not there, two tasks of one name, or a held-out task's source among the
            taught tasks; InputErrors for several.
    """
    said = [(f"tasks.{place}", task) for place, task in enumerate(recipe.tasks)]
    if recipe.replay is not None and recipe.replay.pool is not None:
        said.append(("replay.from", recipe.replay.pool))
    found = [(where, made) for where, task in said for made in _of_files(task, recipe.root, data_dir, where)]
    _check_names([task.name for _, task in found])
    if not recipe.hold_out:
        return Expanded(tuple(task for _, task in found), tuple(place for place, _ in found))
    of = {task.name: cluster_of(task) for _, task in found}
    near = clusters.held_out(recipe.hold_out, {one for one in of.values() if one})
    held = frozenset(name for name, cluster in of.items() if cluster in recipe.hold_out)
    left = tuple((name, str(cluster)) for name, cluster in of.items() if cluster in near and name not in held)
    gone = {name for name, _ in left}
    kept = [(place, task) for place, task in found if task.name not in gone]
    raise_all("hold_out", [*_replay_gone(recipe, dict(left)), *_seen_elsewhere(recipe, kept, held)])
    return Expanded(tuple(task for _, task in kept), tuple(place for place, _ in kept), held, left)


def _replay_gone(recipe: Recipe, left: Mapping[str, str]) -> Iterator[InputError]:
    """An error when what shall be replayed leaves the recipe, being too near to what is held out."""
    if recipe.replay is not None and recipe.replay.name in left:
        yield InputError(
            "what shall be replayed is too near to a held-out cluster",
            where="replay.from",
            found=f"{recipe.replay.name} of the cluster {left[recipe.replay.name]}",
            expected="rows of a cluster that is not left out beside " + ", ".join(recipe.hold_out),
            fix="replay something else, or do not hold this cluster out",
        )


def _of_files(task: Task, root: Path, data_dir: Path | None, where: str) -> Iterator[Task]:
    if task.each is None:
        yield task
        return
    data = task.data
    if data.hub is not None:
        raise InputError(
            "each: file goes with files, not with the hub",
            where=f"{where}.each",
            found=f"hub: {data.hub}",
            expected="data with path, or with local alone",
            fix="name the files as path: folder/*.jsonl",
        )
    base = root if data.path is not None else data_dir
    for path in files_of(data.source(), root=root, data_dir=data_dir):
        assert base is not None
        stem = path.stem if not packed(path) else Path(path.stem).stem
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")
        beside = os.path.relpath(path, base)
        place = {"path": beside} if data.path is not None else {"local": beside}
        yield task.model_copy(
            update={
                "name": f"{task.name}-{name}",
                "data": data.model_copy(update=place),
                "source": task.source or clusters.data_set_of(stem) or stem,
                "each": None,
            }
        )


def _check_names(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
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
            for name in twice
        ],
    )


def _seen_elsewhere(
    recipe: Recipe, kept: list[tuple[str, Task]], held: frozenset[str]
) -> Iterator[InputError]:
    """An error for each taught task whose rows are a held-out task's under another name, and for the replay."""
    unseen = {source_of(task): task.name for _, task in kept if task.name in held}
    for place, task in kept:
        other = unseen.get(source_of(task))
        if task.name not in held and other is not None:
            yield InputError(
                "a held-out task is in training",
                where=place,
                found=f"{task.name} of {source_of(task)}, which {other} is held out of",
                expected="every task of that data set on one side",
                fix=f"say cluster: {recipe.hold_out[0]} in {task.name} too, or take it out",
            )
    if recipe.replay is not None and recipe.replay.name in held:
        yield InputError(
            "a held-out task is in training",
            where="replay.from",
            found=recipe.replay.name,
            expected="a task of another cluster",
            fix="replay another task, or do not hold out its cluster",
        )
    if all(task.name in held for _, task in kept):
        yield InputError(
            "everything is held out",
            where="hold_out",
            found=", ".join(recipe.hold_out),
            expected="at least one task that is taught",
            fix="add tasks of other clusters",
        )
