"""A recipe that goes on from a finished run: `continues: RUN` makes the run's tuned model the recipe's model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.yamltext import FieldPath
from tutelage.results import document
from tutelage.results.run_folder import RunFolder

MAX_STAGES = 1000
"""Runs of a sequence that are followed; a longer one is a circle."""


def folder_of(run: str, *, of: Path | None = None) -> Path:
    """The folder of a run that a recipe continues: as it is named, or beside the run `of` whose recipe names it."""
    named = Path(run)
    beside = named if of is None else of.resolve().parent / named.name
    return beside if not named.is_dir() and beside.is_dir() else named


def original_model(run: str) -> str | None:
    """The model that the first run of a sequence tuned, by the records of its runs; None where one has no readable record."""
    folder: Path | None = None
    for _ in range(MAX_STAGES):
        folder = folder_of(run, of=folder)
        recipe = document.recorded_recipe(RunFolder(folder).recipe) or {}
        earlier, model = recipe.get("continues"), recipe.get("model")
        if not isinstance(earlier, str):
            return model if isinstance(model, str) else None
        run = earlier
    return None


def with_model(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recipe with the run that it continues as its model, where it names none, or the one that the sequence began with."""
    run, model = values.get("continues"), values.get("model")
    if not isinstance(run, str) or model == run or (model is not None and model != original_model(run)):
        return values
    return {**values, "model": run}


def find_contradictions(recipe: Mapping[str, Any], where: Callable[[FieldPath], str]) -> Iterator[InputError]:
    """Find a model beside `continues` that is neither the run's nor the one that the sequence began with."""
    run, model = recipe.get("continues"), recipe.get("model")
    if isinstance(run, str) and isinstance(model, str) and model != run:
        original = original_model(run)
        yield InputError(
            "another model than the one that the run before it tuned",
            where=where(("model",)),
            found=shorten(model),
            expected=f"no model, as the training goes on from that of {run}"
            + (f"; or {original}, which the sequence began with" if original else ""),
            fix="remove model",
        )


def contradicting_sets(sets: Sequence[str], run: str) -> Iterator[InputError]:
    """Find changes of the model on the command line beside `--from`."""
    for change in sets:
        if change.partition("=")[0].strip() in ("model", "continues"):
            yield InputError(
                "two models to start from",
                where=f"--set {change}",
                found=f"--from {run}, and a change of {change.partition('=')[0].strip()}",
                expected="one of the two",
                fix="leave out --set, or --from",
            )
