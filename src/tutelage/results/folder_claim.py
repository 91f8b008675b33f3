"""Claim a run folder for one recipe: refuse a folder with other content, lock it, and record the recipe in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.core import files, yamltext
from tutelage.core.differences import differences, join_differences
from tutelage.core.errors import InputError
from tutelage.core.locks import locked
from tutelage.results import document
from tutelage.results.run_folder import RunFolder

IDENTITIES = "# identities: 2"
"""Stands in recipe.yaml if the run's identity covers the model's generation settings, as it does in all but old runs."""
HEAD = (
    "# The recipe as resolved, a record: its paths are relative to the folder of the recipe that was run.\n"
    f"{IDENTITIES}\n"
)


@contextmanager
def claim(folder: RunFolder, resolved: Mapping[str, Any]) -> Iterator[None]:
    """Lock a run folder, with its recipe recorded in it, while the block runs.

    Args:
        folder: the folder; it is made if it does not exist.
        resolved: the resolved recipe.

    Raises:
        InputError: the folder has other content, or another process works on it.
    """
    with locked(folder.lock, subject=f"the run folder {folder.path}"):
        check_claimable(folder, resolved)
        files.sweep_parts(folder.path)
        write_recipe(folder, resolved)
        yield


def check_claimable(folder: RunFolder, resolved: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another recipe's run, or files that belong to no run.

    Args:
        folder: the folder; it need not exist.
        resolved: the resolved recipe.

    Raises:
        InputError: the folder cannot be used, or cannot be made.
    """
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError("the output folder is a file", where=str(folder.path), fix="name another with --out")
    if not folder.path.exists():
        _check_makeable(folder.path)
        return
    names = sorted(path.name for path in folder.path.iterdir())
    if not names:
        return
    is_of_this_recipe = recipe_of_results(folder) == resolved
    if not is_run(folder):
        if is_of_this_recipe or all(name.startswith(".") for name in names):
            return
        raise InputError(
            "the output folder is not empty and holds no run",
            where=str(folder.path),
            found=", ".join(names[:5]),
            expected="an empty folder, or this recipe's run",
            fix="name another folder with --out",
        )
    recorded = document.recorded_recipe(folder.recipe)
    if recorded is None and not is_of_this_recipe:
        raise InputError(
            "the run's record of its recipe is damaged",
            where=str(folder.recipe),
            expected="the recipe as resolved, in YAML",
            fix="bring back a copy, or name another folder with --out",
        )
    if recorded is None or recorded == dict(resolved):
        return
    differing = differences(recorded, dict(resolved))
    if is_of_this_recipe:
        raise InputError(
            "the run's record of its recipe was edited",
            where=str(folder.recipe),
            found=join_differences(differing, "{path} is {old} there and {new} in results.json"),
            fix=f"remove {folder.recipe}: the same command writes it again",
        )
    raise InputError(
        "the output folder holds another recipe's run",
        where=str(folder.path),
        found=join_differences(differing, "{path} is {old} there and {new} here"),
        expected="the same recipe and settings",
        fix="name another folder with --out, or leave --out away: the default folder is named by the settings",
    )


def write_recipe(folder: RunFolder, resolved: Mapping[str, Any]) -> bool:
    """Write recipe.yaml if it is missing or unreadable. Returns whether it was."""
    if document.recorded_recipe(folder.recipe) is not None:
        return False
    files.write_text(folder.recipe, HEAD + yamltext.write(dict(resolved)))
    return True


def _check_makeable(path: Path) -> None:
    """Raise InputError now if the folder cannot be made, and not once the work is done."""
    parent = files.existing_parent(path)
    if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
        return
    raise InputError(
        "the output folder cannot be made",
        where=str(path),
        found=f"{parent} may not be written to" if parent.is_dir() else f"{parent} is a file",
        expected="a place in a folder that may be written to",
        fix="name another with --out",
    )


def is_run(folder: RunFolder) -> bool:
    """Whether a run was begun here. A copy of a recipe alone is no run: a run also has a lock or results."""
    return folder.recipe.is_file() and any(
        path.is_file() for path in (folder.lock, folder.store, folder.tuned)
    )


def recipe_of_results(folder: RunFolder) -> dict[str, Any] | None:
    """The recipe in results.json, None if there is no undamaged results.json."""
    try:
        recipe: dict[str, Any] = document.read(folder.results)["recipe"]
    except InputError:
        return None
    return recipe
