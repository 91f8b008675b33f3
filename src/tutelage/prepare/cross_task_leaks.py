"""Rows of one data set under several templates: what one task is tested on, another one must not train on.

Two templates put the same row into other words, so neither its fields nor its text are equal. What is left of it are runs of
words: a training row goes when it, or an exemplar before it, shares eight words in a row with a test row of the same source,
unless many of the source's training rows have these words, which are then the template's.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tutelage.core.serialization import PROMPTED
from tutelage.core.spill import kept
from tutelage.core.types import Prompted
from tutelage.prepare.tasks import source_of

if TYPE_CHECKING:
    from tutelage.prepare.preparation import TaskRows

WORDS = 8
COMMON = 0.02  # of a source's training rows: runs that so many share are the template's
_WORD = re.compile(r"\w+")


def sources(tasks: Sequence[TaskRows]) -> list[str]:
    """Each task's data set; tasks that read the very same bytes have one, whatever they are called."""
    names = [source_of(task.task) for task in tasks]
    same: dict[str, str] = {}
    for place, task in enumerate(tasks):
        name = names[place]
        first = same.setdefault(str(task.card["source"]["sha256"]), name)
        names = [first if one == name else one for one in names]
        same = {content: first if one == name else one for content, one in same.items()}
    return names


def parted(tasks: Sequence[TaskRows], sources: Sequence[str]) -> list[TaskRows]:
    """The tasks without the training and validation rows that stand in a test row of another task of their source.

    Args:
        tasks: all tasks' rows in words.
        sources: the data set of each.

    Returns:
        The same tasks; the card of each that lost rows counts them as `shared`.
    """
    of: dict[str, list[int]] = defaultdict(list)
    for place, source in enumerate(sources):
        of[source].append(place)
    found = list(tasks)
    for places in of.values():
        if len(places) > 1:
            for place, task in zip(places, _without([tasks[one] for one in places]), strict=True):
                found[place] = task
    return found


def _without(tasks: Sequence[TaskRows]) -> Iterator[TaskRows]:
    total = sum(len(task.train) for task in tasks)
    common = Counter(run for task in tasks for row in task.train for run in _runs(row))
    frequent = {run for run, count in common.items() if count > max(2 * len(tasks), COMMON * total)}
    tested: list[set[int]] = [{run for row in task.test for run in _runs(row)} - frequent for task in tasks]
    for place, task in enumerate(tasks):
        others: set[int] = set().union(*(runs for other, runs in enumerate(tested) if other != place))
        train, validation = (
            kept(
                (row for row in rows if others.isdisjoint(_runs(row, *(said for _, said in row.history)))),
                PROMPTED,
            )
            for rows in (task.train, task.validation)
        )
        gone = len(task.train) + len(task.validation) - len(train) - len(validation)
        if not gone:
            yield task
            continue
        splits = {**task.card["splits"], "train": len(train), "validation": len(validation)}
        yield replace(
            task, train=train, validation=validation, card={**task.card, "splits": splits, "shared": gone}
        )


def _runs(row: Prompted, *more: str) -> set[int]:
    """The runs of eight words in a prompt with its answer, and in further texts, as hashes; of a shorter text all of it."""
    found: set[int] = set()
    for text in (f"{row.prompt}\n{row.completion}", *more):
        words = _WORD.findall(text.casefold())
        found |= {hash(tuple(words[at : at + WORDS])) for at in range(max(1, len(words) - WORDS + 1))}
    return found
