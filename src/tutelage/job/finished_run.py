"""A finished run taken up again from its folder: its recipe, and the folder to which the recipe's paths are relative."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.results import document
from tutelage.results.run_folder import RunFolder


def require_finished(run: Path, *, fix: str) -> dict[str, Any]:
    """Read the results of a finished run.

    Args:
        run: the run folder.
        fix: what to do where it is not finished.

    Raises:
        InputError: it has no results, or damaged ones.
    """
    folder = RunFolder(run)
    if not folder.results.is_file():
        raise InputError(
            "the run is not finished",
            where=str(run),
            found="no results.json",
            expected="the folder of a finished run",
            fix=fix,
        )
    return document.read(folder.results)


def recipe_root(results: Mapping[str, Any], recipe: Path | None) -> Path:
    """The folder to which the paths of a run's recipe are relative.

    Args:
        results: the run's results.json.
        recipe: the recipe's file; None for that of the command that made the run.

    Raises:
        InputError: there is no such file.
    """
    if recipe is not None:
        if not recipe.is_file():
            raise InputError(
                "there is no such recipe",
                where="--recipe",
                found=str(recipe),
                expected="the file of the run's recipe",
                fix="check the name",
            )
        return recipe.parent
    words = [Path(str(word)) for word in results["provenance"].get("command", ())]
    named = [word for word in words if word.suffix in (".yaml", ".yml") and word.is_file()]
    return named[0].parent if named else Path()
