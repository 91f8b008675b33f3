"""Few-shot prompts: exemplars of the training split before a row's own prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.core.seeds import generator
from tutelage.core.types import History, Prompted


def choose(
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
    found: list[Prompted] = []
    taken = {row.prompt}
    for place in _order(len(train), seed, "" if fixed else row.id):
        if len(found) == count:
            break
        one = train[place]
        if one.id != row.id and one.prompt not in taken:
            taken.add(one.prompt)
            found.append(one)
    return tuple(found)


def _order(total: int, seed: int, purpose: str) -> Iterator[int]:
    """All places in a seeded order; only as many are drawn as are asked for."""
    chance = generator(seed, "shots", purpose)
    seen: set[int] = set()
    while 2 * len(seen) < total:
        place = int(chance.integers(total))
        if place not in seen:
            seen.add(place)
            yield place
    rest = [place for place in range(total) if place not in seen]
    for at in chance.permutation(len(rest)).tolist():
        yield rest[at]


def turns(exemplars: Sequence[Prompted]) -> History:
    """The exemplars as a conversation that went before: what is too long for the model loses the first of them whole."""
    return tuple(
        message for one in exemplars for message in (("user", one.prompt), ("assistant", one.completion))
    )
