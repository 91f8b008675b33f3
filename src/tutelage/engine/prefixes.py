"""Which prompts begin alike: a tree over their tokens, so that what they share goes through the model once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

LEAST = 16
"""Tokens that a branch has at least: fewer cost more as a pass of their own than they save."""
GAIN = 64
"""Tokens that a branch saves at least, over all its rows."""
LEVELS = 4
"""Branches above a row, at most: the keys and values of each are held while its rows are asked."""

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Branch:
    """Tokens that several prompts have in common.

    Attributes:
        tokens: those that come after the branches above; none at the root.
        depth: how many tokens its prompts share in all.
        rows: the prompts that share no more with others, by their places.
        branches: further ones, whose prompts share more.
    """

    tokens: tuple[int, ...]
    depth: int
    rows: tuple[int, ...]
    branches: tuple[Branch, ...]


def tree(prompts: Sequence[Ids]) -> Branch:
    """The branches of some prompts. At least one token of each prompt is left below its branch.

    Args:
        prompts: token ids, none empty.
    """
    order = sorted(range(len(prompts)), key=lambda place: (list(prompts[place]), place))
    shared = [0, *(_shared(prompts[a], prompts[b]) for a, b in pairwise(order))]
    return _branch(prompts, order, shared, (0, len(order)), tokens=(), depth=0, levels=LEVELS)


def _branch(
    prompts: Sequence[Ids],
    order: Sequence[int],
    shared: Sequence[int],
    span: tuple[int, int],
    *,
    tokens: tuple[int, ...],
    depth: int,
    levels: int,
) -> Branch:
    """The branch of the prompts `order[start:end]`; `shared[k]` counts what the k-th of them shares with the one before."""
    rows: list[int] = []
    branches: list[Branch] = []
    at, end = span
    while at < end:
        stop = at + 1
        while stop < end and shared[stop] - depth >= LEAST:
            stop += 1
        common = min(shared[at + 1 : stop], default=depth)
        if levels and (stop - at - 1) * (common - depth) >= GAIN:
            more = tuple(prompts[order[at]][depth:common])
            branches.append(
                _branch(prompts, order, shared, (at, stop), tokens=more, depth=common, levels=levels - 1)
            )
        else:
            rows += order[at:stop]
        at = stop
    return Branch(tokens, depth, tuple(rows), tuple(branches))


def _shared(one: Ids, other: Ids) -> int:
    """How many tokens two prompts begin with alike, less what would leave one of them empty."""
    most = min(len(one), len(other)) - 1
    return next((place for place in range(most) if one[place] != other[place]), most)
