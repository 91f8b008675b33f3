"""Rendered rows by task and split: what reading a recipe's data gives, and what encoding takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.config.schema import Recipe
from tutelage.config.task_block import Task
from tutelage.core.types import Prompted
from tutelage.results.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One task's rendered rows by split, with its entry in the data card.

    Attributes:
        task: the task as the recipe states it.
        train, validation, test: the rows; a held-out task has test rows only. Many rows lie on disk (`core.spill`).
        card: the task's entry in the data card.
        content_fields: the fields that its template reads.
        held_out: whether the task is tested only.
        in_all_wordings: with `test_wordings: all`, the rows of the splits `test` and `validation` in each wording: those of one wording
            follow those of another.
    """

    task: Task
    train: Sequence[Prompted]
    validation: Sequence[Prompted]
    test: Sequence[Prompted]
    card: Mapping[str, Any]
    content_fields: tuple[str, ...] = ()
    held_out: bool = False
    in_all_wordings: Mapping[str, Sequence[Prompted]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A finished run that taught earlier tasks.

    Attributes:
        folder: the run.
        results: the content of its results.json.
        recipe: its recipe, without the run that it continued.
    """

    folder: RunFolder
    results: Mapping[str, Any]
    recipe: Recipe

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.path.resolve().name

    @property
    def key(self) -> Mapping[str, Any]:
        """Hashes of its answers and scores."""
        store: Mapping[str, Any] = self.results["made_from"]["store"]
        return store


@dataclass(frozen=True, slots=True)
class EarlierStage:
    """What an earlier run taught: its tasks with their rows."""

    run: EarlierRun
    tasks: tuple[TaskRows, ...]


@dataclass(frozen=True, slots=True)
class RecipeRows:
    """The rendered rows of all tasks of a recipe.

    Attributes:
        tasks: the rows of each task.
        identity: a hash of the content of all rows.
        training_hashes: for each task a hash of the content of its training and validation rows.
        excluded: (task, cluster) of the tasks that were left out, being too near to a held-out cluster.
        earlier: what the runs taught that the recipe goes on from, the first one first.
    """

    tasks: tuple[TaskRows, ...]
    identity: str
    training_hashes: Mapping[str, str]
    excluded: tuple[tuple[str, str], ...] = ()
    earlier: tuple[EarlierStage, ...] = ()


def wording_counts(rows: Iterable[Prompted]) -> dict[str, int]:
    """How many rows each wording rendered, by its name."""
    return dict(sorted(Counter(row.template for row in rows).items()))
