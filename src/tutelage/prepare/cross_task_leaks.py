"""Keeps the test rows of one task out of the training rows of another task of the same data set.

Two templates word the same row differently, so neither fields nor texts are equal. What they share are n-grams: a training row
goes when it, or an exemplar before it, shares eight words in a row with a test row of the same source, unless many of the
source's training rows have these words, which are then part of the template.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tutelage.core.serialization import PROMPTED
from tutelage.core.spill import spill_rows
from tutelage.core.types import Prompted
from tutelage.prepare.task_rows import TaskRows
from tutelage.prepare.tasks import task_source

NGRAM = 8
COMMON = 0.02  # n-grams in more than this share of a source's training rows belong to the template
_WORD = re.compile(r"\w+")


def sources(tasks: Sequence[TaskRows]) -> list[str]:
    """Each task's data set; tasks that read the very same bytes share one, whatever their names."""
    names = [task_source(task.task) for task in tasks]
    by_content: dict[str, str] = {}
    for index, task in enumerate(tasks):
        name = names[index]
        first = by_content.setdefault(str(task.card["source"]["sha256"]), name)
        names = [first if other == name else other for other in names]
        by_content = {content: first if other == name else other for content, other in by_content.items()}
    return names


def without_leaks(tasks: Sequence[TaskRows], sources: Sequence[str]) -> list[TaskRows]:
    """Remove training and validation rows that share an n-gram with a test row of another task of their source.

    Args:
        tasks: the rows of all tasks.
        sources: the data set of each.

    Returns:
        The same tasks; the card of each that lost rows counts them as `shared`.
    """
    by_source: dict[str, list[int]] = defaultdict(list)
    for index, source in enumerate(sources):
        by_source[source].append(index)
    cleaned = list(tasks)
    for indices in by_source.values():
        if len(indices) > 1:
            for index, task in zip(indices, _clean([tasks[index] for index in indices]), strict=True):
                cleaned[index] = task
    return cleaned


def _clean(tasks: Sequence[TaskRows]) -> Iterator[TaskRows]:
    """The tasks of one source without their leaks."""
    common = _template_ngrams(tasks)
    tested: list[set[int]] = [
        {ngram for row in task.test for ngram in _ngrams(row)} - common for task in tasks
    ]
    for index, task in enumerate(tasks):
        yield _without_ngrams(
            task, set().union(*(ngrams for other, ngrams in enumerate(tested) if other != index))
        )


def without_earlier_test_rows(tasks: Sequence[TaskRows], earlier: Iterable[TaskRows]) -> list[TaskRows]:
    """Remove training and validation rows that share an n-gram with a test row of an earlier run's task, whatever their sources.

    Args:
        tasks: the rows of all tasks.
        earlier: the tasks that earlier runs taught.

    Returns:
        The same tasks; the card of each that lost rows counts them as `shared`.
    """
    ngrams = {ngram for task in earlier for row in task.test for ngram in _ngrams(row)}
    ngrams -= _template_ngrams(tasks)
    return [_without_ngrams(task, ngrams) for task in tasks]


def with_earlier_training_rows(tasks: Sequence[TaskRows], earlier: Iterable[TaskRows]) -> list[TaskRows]:
    """Count the test rows that share an n-gram with a training row of an earlier run: the model has seen them before its first score.

    Args:
        tasks: the rows of all tasks.
        earlier: the tasks that earlier runs taught.

    Returns:
        The same tasks; the card of each that has such rows counts them as `trained_before`.
    """
    common = _template_ngrams(tasks)
    tested = [[_ngrams(row) - common for row in task.test] for task in tasks]
    sought = set().union(*(ngrams for rows in tested for ngrams in rows))
    trained = {ngram for task in earlier for row in task.train for ngram in _ngrams(row) & sought}
    counts = [sum(not trained.isdisjoint(ngrams) for ngrams in rows) for rows in tested]
    return [
        replace(task, card={**task.card, "trained_before": count}) if count else task
        for task, count in zip(tasks, counts, strict=True)
    ]


def _template_ngrams(tasks: Sequence[TaskRows]) -> set[int]:
    """The n-grams that many training rows have."""
    total = sum(len(task.train) for task in tasks)
    counts = Counter(ngram for task in tasks for row in task.train for ngram in _ngrams(row))
    return {ngram for ngram, count in counts.items() if count > max(2 * len(tasks), COMMON * total)}


def _without_ngrams(task: TaskRows, forbidden: set[int]) -> TaskRows:
    """The task without the training and validation rows that have one of these n-grams."""
    train, validation = (
        spill_rows(
            (row for row in rows if forbidden.isdisjoint(_ngrams(row, *(text for _, text in row.history)))),
            PROMPTED,
        )
        for rows in (task.train, task.validation)
    )
    removed = len(task.train) + len(task.validation) - len(train) - len(validation)
    if not removed:
        return task
    splits = {**task.card["splits"], "train": len(train), "validation": len(validation)}
    card = {**task.card, "splits": splits, "shared": task.card.get("shared", 0) + removed}
    return replace(task, train=train, validation=validation, card=card)


def _ngrams(row: Prompted, *exemplars: str) -> set[int]:
    """Hashes of the word n-grams of prompt with completion, and of further texts; a shorter text is one n-gram."""
    ngrams: set[int] = set()
    for text in (f"{row.prompt}\n{row.completion}", *exemplars):
        words = _WORD.findall(text.casefold())
        ngrams |= {hash(tuple(words[at : at + NGRAM])) for at in range(max(1, len(words) - NGRAM + 1))}
    return ngrams
