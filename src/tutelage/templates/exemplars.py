"""Few-shot prompts: exemplars of the training split before a row's own prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.core.seeds import generator
from tutelage.core.types import History, Prompted


def choose_exemplars(
    train: Sequence[Prompted], row: Prompted, count: int, *, fixed: bool, seed: int
) -> tuple[Prompted, ...]:
    """The exemplars for a row: training rows to be shown with their answers.

    Args:
        train: the task's training rows: exemplars come from nowhere else.
        row: the row that is asked; neither it nor a row that asks the same is an exemplar.
        count: how many; fewer when there are not so many others.
        fixed: the same ones for the whole task (one that is the row itself gives way to the next), or fresh ones for
            each row.
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
    """All places in a seeded order; only as many are drawn as are asked for."""
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
    """The exemplars as a conversation that went before: what is too long for the model loses the first of them whole."""
    return tuple(
        message
        for exemplar in exemplars
        for message in (("user", exemplar.prompt), ("assistant", exemplar.completion))
    )
