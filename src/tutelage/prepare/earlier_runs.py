"""The runs that a recipe goes on from, first to last, and the rows of the tasks that they taught.

Nothing is taken from a run that is not finished, or whose results or answers were changed since they were computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.config import continuation, from_mapping
from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError, raise_all
from tutelage.data import find
from tutelage.prepare.task_rows import EarlierRun, EarlierStage, TaskRows
from tutelage.results import digests, document, tuned_record
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store


def earlier_runs(recipe: Recipe, data_dir: Path | None) -> tuple[EarlierRun, ...]:
    """The runs of the sequence that a recipe goes on, the first one first; none unless it continues one.

    Args:
        recipe: the recipe.
        data_dir: the folder of `local` data files.

    Raises:
        InputError: a run is not finished or was changed, or the recipe's model is not that of the run.
    """
    runs: list[EarlierRun] = []
    name, beside = recipe.continues, None
    if name is not None and recipe.model != name:
        raise InputError(
            "the recipe continues a run and starts from another model",
            where="model",
            found=recipe.model,
            expected=name,
            fix="remove model",
        )
    while name is not None and len(runs) < continuation.MAX_STAGES:
        folder = RunFolder(continuation.folder_of(name, of=beside))
        results = _finished(folder, model=not runs)
        values = dict(results["recipe"])
        name, beside = values.pop("continues", None), folder.path
        runs.append(EarlierRun(folder, results, _recipe(values, results, recipe.root, data_dir)))
    return tuple(reversed(runs))


def taught_rows_of(run: EarlierRun, tasks: Sequence[TaskRows]) -> EarlierStage:
    """The tasks that a run taught and tested, without those that it held out or replayed."""
    replay = None if run.recipe.replay is None else run.recipe.replay.name
    return EarlierStage(
        run,
        tuple(task for task in tasks if task.test and not task.held_out and task.name != replay),
    )


def check_names(names: Sequence[str], locations: Sequence[str], stages: Sequence[EarlierStage]) -> None:
    """Refuse a task that has the name of one that an earlier run taught: their scores could not be told apart.

    Args:
        names: of the recipe's tasks.
        locations: the place of each in the recipe.
        stages: the earlier runs' tasks.
    """
    taught = {task.name: stage.run.name for stage in stages for task in stage.tasks}
    raise_all(
        "tasks",
        [
            InputError(
                "an earlier run taught a task of this name",
                where=f"{where}.name",
                found=f"{name}, as in {taught[name]}",
                expected="a name of its own for every task of the sequence",
                fix=f"give the task another name, such as name: {name}-2",
            )
            for name, where in zip(names, locations, strict=True)
            if name in taught
        ],
    )


def _finished(folder: RunFolder, *, model: bool) -> dict[str, Any]:
    """The results of a finished, undamaged run; with `model` its tuned model is checked too."""
    if not folder.results.is_file():
        raise InputError(
            "the run is not finished" if folder.path.is_dir() else "there is no such run",
            where=str(folder.path),
            found=f"no {folder.results.name}" if folder.path.is_dir() else "no such folder",
            expected="the folder of a finished run, relative to the current folder",
            fix="run its recipe to the end first" if folder.path.is_dir() else "check the name",
        )
    results = document.read(folder.results)
    recorded = (results.get("made_from") or {}).get("store")
    if recorded is None:
        raise InputError(
            "the run was made before hashes of its answers were kept, so they cannot be built on",
            where=str(folder.results),
            found="no made_from.store",
            fix="run its recipe again: nothing is trained or answered twice",
        )
    with Store.open(folder.store, read_only=True) as store:
        digests.require_unchanged(store, recorded, by=folder.results)
    if model:
        tuned_record.require_model(folder.path, tuned_record.read_or_recover(folder.path) or {})
    return results


def _recipe(
    values: Mapping[str, Any], results: Mapping[str, Any], root: Path, data_dir: Path | None
) -> Recipe:
    """The recipe of a run, with its paths relative to the first folder in which all its data is."""
    words = [Path(str(word)) for word in results["provenance"].get("command", ())]
    command = [word.parent for word in words if word.suffix in (".yaml", ".yml") and word.is_file()]
    recipes = [from_mapping(values, root=folder) for folder in dict.fromkeys([*command, root, Path()])]
    return next((recipe for recipe in recipes if _data_is_there(recipe, data_dir)), recipes[0])


def _data_is_there(recipe: Recipe, data_dir: Path | None) -> bool:
    try:
        for task in recipe.tasks:
            find(task.data.source(), root=recipe.root, data_dir=data_dir)
    except InputError:
        return False
    return True


def tasks_of(stages: Sequence[EarlierStage]) -> Iterator[TaskRows]:
    """The earlier tasks of all stages."""
    for stage in stages:
        yield from stage.tasks
