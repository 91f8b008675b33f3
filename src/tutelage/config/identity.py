"""What a recipe comes to: all its values, the part of them that names its run, and the record of it in a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.config.load import from_mapping
from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError
from tutelage.core.validation import field_history
from tutelage.results import document
from tutelage.results.folder_claim import recipe_of_results
from tutelage.results.run_folder import RunFolder, default_folder


def resolved(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values with every default filled in; it loads again as the same recipe.

    Paths stay as they were written. None, and a part of the objective that is off, are left out: they have no effect.
    """
    values = recipe.model_dump(mode="json", exclude_none=True, by_alias=True)
    options = recipe.tune.options.items()
    values["tune"]["learning_rate"] = recipe.tune.rate
    values["tune"] |= {name: list(value) if isinstance(value, tuple) else value for name, value in options}
    for name in recipe.tune.unread_terms:
        del values["tune"][name]
    tasks = [*zip(values["tasks"], recipe.tasks, strict=True)]
    if recipe.replay is not None and recipe.replay.pool is not None:
        tasks.append((values["replay"]["from"], recipe.replay.pool))
    for task_values, task in tasks:
        if task.data.hub is not None:
            task_values["data"]["hub_split"] = task.data.source().hub_split
        if task.split.column is not None:
            task_values["split"] = {"column": task.split.column, "leaks": task.split.leaks}
    return values


def identity(recipe: Recipe) -> dict[str, Any]:
    """The values by which a run is recognised and its folder is named.

    Neither a new name of a field nor a new field with a default changes it, and `diagnose` and `keep_merged` are no part of it.
    """
    values = resolved(recipe)
    for name in ("diagnose", "keep_merged"):
        del values[name]  # made of a finished run, which stays the same
    return field_history.identity(recipe, values)


def run_folder(recipe: Recipe, out: Path | None = None) -> RunFolder:
    """The folder of a recipe's run: `out`, or `runs/NAME-HASH` with the hash of the recipe's identity."""
    return RunFolder(out or default_folder(recipe.name, identity(recipe)))


def record(recipe: Recipe, folder: RunFolder) -> dict[str, Any]:
    """The resolved recipe as it stands, or will stand, in a run folder.

    A run of an earlier version, whose record lacks new fields or has their old names, keeps its record as it is.
    """
    for recorded in (document.recorded_recipe(folder.recipe), recipe_of_results(folder)):
        if recorded is not None and _is_same(recorded, recipe):
            return recorded
    return resolved(recipe)


def _is_same(recorded: Mapping[str, Any], recipe: Recipe) -> bool:
    try:
        return identity(from_mapping(recorded, root=recipe.root)) == identity(recipe)
    except InputError:
        return False
