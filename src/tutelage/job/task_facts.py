"""What the stored answers to a task's test rows say beside its scores: still wrong, labels never told, slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tutelage.comparison import failures, slices, untold_labels
from tutelage.prepare.encoding import TaskQuestions
from tutelage.results.evaluation import Evaluation
from tutelage.results.store import Store


def for_verdict(store: Store, tasks: Sequence[TaskQuestions]) -> dict[str, list[str]]:
    """What the verdict says of each task behind its numbers."""
    return {task.name: list(_facts(*sides)) for task, sides in _scored(store, tasks)}


def add_to(outcomes: dict[str, Any], store: Store, tasks: Sequence[TaskQuestions]) -> None:
    """Add to the tasks of results.json that the base was never told the labels, and the scores of slices."""
    for task, (base, tuned) in _scored(store, tasks):
        if untold_labels.never_told_labels(base):
            outcomes[task.name]["base_untold"] = True
        if columns := task.task.slices:
            outcomes[task.name]["slices"] = slices.sliced(base, tuned, columns).as_json()


def _facts(base: Evaluation, tuned: Evaluation) -> Iterator[str]:
    if wrong := failures.wrong_in_words(base, tuned):
        yield wrong
    if untold_labels.never_told_labels(base):
        yield untold_labels.FACT


def _scored(
    store: Store, tasks: Sequence[TaskQuestions]
) -> Iterator[tuple[TaskQuestions, tuple[Evaluation, Evaluation]]]:
    """Each task with its scored evaluations of base and tuned model."""
    scored = store.last_scored()
    for task in tasks:
        yield task, (scored["base", "task", task.name], scored["tuned", "task", task.name])
