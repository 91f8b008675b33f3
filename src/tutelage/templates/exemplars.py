"""Chooses exemplars from the training split for few-shot prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.core.seeds import generator
from tutelage.core.types import History, Prompted


def choose_exemplars(
    train: Sequence[Prompted], row: Prompted, count: int, *, fixed: bool, seed: int
) -> tuple[Prompted, ...]:
    """Choose the exemplars for a row: training rows that are shown with their answers.

    Args:
        train: the task's training rows, the only source of exemplars.
        row: the row to be answered; rows with its id or its prompt are not chosen.
        count: the number of exemplars; fewer if there are not enough rows.
        fixed: whether all rows of the task share the same exemplars (a row that is one of them gets the next one instead).
        seed: another seed chooses others.

    Returns:
        The exemplars in the order in which they are shown.
    """
    exemplars: list[Prompted] = []
    prompts = {row.prompt}
    for index in _random_order(len(train), seed, "" if fixed else row.id):
        if len(exemplars) == count:
            break
        candidate = train[index]
        if candidate.id != row.id and candidate.prompt not in prompts:
            prompts.add(candidate.prompt)
            exemplars.append(candidate)
    return tuple(exemplars)


def _random_order(total: int, seed: int, purpose: str) -> Iterator[int]:
    """All indices in a seeded random order, drawn lazily."""
    rng = generator(seed, "shots", purpose)
    drawn: set[int] = set()
    while 2 * len(drawn) < total:
        index = int(rng.integers(total))
        if index not in drawn:
            drawn.add(index)
            yield index
    remaining = [index for index in range(total) if index not in drawn]
    for position in rng.permutation(len(remaining)).tolist():
        yield remaining[position]


def exemplar_turns(exemplars: Sequence[Prompted]) -> History:
    """The exemplars as earlier turns of the conversation; if a prompt is too long, the first ones are dropped whole."""
    return tuple(
        message
        for exemplar in exemplars
        for message in (("user", exemplar.prompt), ("assistant", exemplar.completion))
    )
