"""Reads a recipe's data: rows of all tasks read, rendered and split. Finds every mistake of the data before a model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tutelage import templates
from tutelage.config.schema import Recipe
from tutelage.config.task_block import Task
from tutelage.core import caches, hashing
from tutelage.core.errors import InputError, InputErrors, raise_all
from tutelage.core.limits import MAX_ERRORS
from tutelage.core.types import Prompted
from tutelage.data import SourceFiles, find
from tutelage.prepare import cross_task_leaks, earlier_runs, rows_cache
from tutelage.prepare.recipe_mixture import apply_preset, check_names
from tutelage.prepare.task_reader import read_task
from tutelage.prepare.task_rows import RecipeRows, TaskRows
from tutelage.prepare.tasks import TaskPlan, plan_tasks, task_source


def read_rows(
    recipe: Recipe, data_dir: Path | None, *, say: Callable[[str], None] = lambda _: None
) -> RecipeRows:
    """Read, render and split the rows of all tasks, from the cache where the same was read before.

    Args:
        recipe: the recipe.
        data_dir: the folder of `local` data files.
        say: takes a line on what the cache did.

    Raises:
        InputError: a file, a row, a template or a split is wrong; InputErrors for several.
    """
    plan = plan_tasks(recipe, data_dir)
    check_names(recipe, [task.name for task in plan.tasks], plan.held_out)
    earlier = tuple(
        earlier_runs.taught_rows_of(run, read_rows(run.recipe, data_dir, say=say).tasks)
        for run in earlier_runs.earlier_runs(recipe, data_dir)
    )
    earlier_runs.check_names([task.name for task in plan.tasks], plan.locations, earlier)
    tasks = apply_preset(recipe, plan.tasks)
    if caches.enabled():
        rows_cache.max_bytes()  # a size that is no number is an error now, and not when rows are written
    try:
        read = _read_tasks(recipe, tasks, _find_files(recipe, tasks, data_dir), plan, say)
    finally:
        templates.close()
    sources = cross_task_leaks.sources(read)
    _check_held_out(read, sources, plan.locations)
    read = cross_task_leaks.without_leaks(read, sources)
    if earlier:
        read = cross_task_leaks.without_earlier_test_rows(read, earlier_runs.tasks_of(earlier))
        read = cross_task_leaks.with_earlier_training_rows(read, earlier_runs.tasks_of(earlier))
    _check_training_rows(read, plan.locations)
    training_hashes = {
        task.name: hashing.of_json([_content(task, task.train), _content(task, task.validation)])
        for task in read
    }
    return RecipeRows(
        tuple(read),
        identity=hashing.of_json(
            [
                list(training_hashes.items()),
                [_content(task, task.test) for task in read],
                *(_content(task, rows) for task in read for rows in task.in_all_wordings.values()),
            ]
        ),
        training_hashes=training_hashes,
        excluded=plan.excluded,
        earlier=earlier,
    )


def _find_files(recipe: Recipe, tasks: Sequence[Task], data_dir: Path | None) -> list[SourceFiles]:
    """Find the files of all tasks first: a missing one shows before hours of reading others."""
    files: list[SourceFiles] = []
    failures: list[InputError] = []
    for task in tasks:
        try:
            files.append(find(task.data.source(), root=recipe.root, data_dir=data_dir))
        except InputError as error:
            failures.append(error)
    _raise_together(failures)
    return files


def _read_tasks(
    recipe: Recipe,
    tasks: Sequence[Task],
    files: Sequence[SourceFiles],
    plan: TaskPlan,
    say: Callable[[str], None],
) -> list[TaskRows]:
    """Read all tasks, or reuse their rows in the cache; stops early when enough of them have mistakes."""
    read: list[TaskRows] = []
    from_cache: list[str] = []
    failures: list[InputError] = []
    for task, task_files, where in zip(tasks, files, plan.locations, strict=True):
        if len(failures) >= MAX_ERRORS:
            break
        held_out = task.name in plan.held_out
        key = rows = None
        try:
            if caches.enabled():
                key = rows_cache.key_of(task, task_files, where=where, root=recipe.root, held_out=held_out)
                rows = rows_cache.get(key, task, say)
            if rows is not None:
                from_cache.append(task.name)
            else:
                rows = read_task(recipe, task, task_files, where, held_out=held_out)
                if key is not None:
                    rows_cache.put(key, rows)
            read.append(rows)
        except InputError as error:
            failures.append(error)
    _raise_together(failures, unread=len(tasks) - len(read) - len(failures))
    if from_cache:
        tasks_named = from_cache[0] if len(from_cache) == 1 else f"{len(from_cache)} tasks"
        say(f"rows of {tasks_named} from the cache")
    return read


def _raise_together(failures: Sequence[InputError], *, unread: int = 0) -> None:
    """Raise the mistakes of all tasks as one error."""
    if len(failures) == 1:
        raise failures[0]
    errors = [
        error
        for failure in failures
        for error in (failure.errors if isinstance(failure, InputErrors) else (failure,))
    ]
    note = f" ({unread} more tasks were not read)" if unread else ""
    raise_all(f"the tasks' data{note}", errors)


def _check_held_out(tasks: Sequence[TaskRows], sources: Sequence[str], locations: Sequence[str]) -> None:
    """Refuse a training task that reads the very data set that another task is held out of."""
    held_out = {source: task.name for task, source in zip(tasks, sources, strict=True) if task.held_out}
    for task, source, where in zip(tasks, sources, locations, strict=True):
        if not task.held_out and source in held_out:
            raise InputError(
                "a held-out task is in training",
                where=where,
                found=f"{task.name}, which reads what {held_out[source]} is held out of",
                expected="every task of that data set on one side",
                fix="take it out, or hold it out too",
            )


def _check_training_rows(tasks: Sequence[TaskRows], locations: Sequence[str]) -> None:
    """Refuse a training task that lost all its rows to the test rows of other tasks."""
    for task, where in zip(tasks, locations, strict=True):
        if not task.train and not task.held_out:
            raise InputError(
                f"the task {task.name} has no training row left",
                where=where,
                found=f"{task.card['shared']} rows stand in test rows of another task of {task_source(task.task)}, or of an earlier run",
                expected="rows that no other task is tested on",
                fix="ask for fewer test rows, or give one of the tasks another source",
            )


def _content(task: TaskRows, rows: Sequence[Prompted]) -> list[str]:
    """A task's name and a hash of the content of some of its rows."""

    def values(row: Prompted) -> list[Any]:
        history = [[list(message) for message in row.history]] if row.history else []
        fields = dict(row.fields)
        return [row.id, row.prompt, row.completion, list(row.references), fields, list(row.choices), *history]

    return [task.name, hashing.of_each(values(row) for row in rows)]
