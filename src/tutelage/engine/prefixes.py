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


def tree(prompts: Sequence[Ids], *, packed: int | None = None) -> Branch:
    """The branches of some prompts. At least one token of each prompt is left below its branch.

    Args:
        prompts: token ids, none empty.
        packed: how many tokens go through the model together, where those that prompts begin with alike are read once a pass
            without a branch; None where every prompt is read in full.
    """
    order = sorted(range(len(prompts)), key=lambda place: (list(prompts[place]), place))
    alike = [0, *(shared(prompts[a], prompts[b]) for a, b in pairwise(order))]
    return _Tree(prompts, order, alike, packed).branch((0, len(order)), (), 0, LEVELS)


@dataclass(frozen=True, slots=True)
class _Tree:
    """Prompts in order; `alike[k]` counts what the k-th in order shares with the one before."""

    prompts: Sequence[Ids]
    order: Sequence[int]
    alike: Sequence[int]
    packed: int | None

    def branch(self, span: tuple[int, int], tokens: tuple[int, ...], depth: int, levels: int) -> Branch:
        """The branch of the prompts `order[start:end]`, and so many levels below it."""
        rows: list[int] = []
        branches: list[Branch] = []
        at, end = span
        while at < end:
            stop = at + 1
            while stop < end and self.alike[stop] - depth >= LEAST:
                stop += 1
            common = min(self.alike[at + 1 : stop], default=depth)
            if levels and self._spared(at, stop, common) * (common - depth) >= GAIN:
                more = tuple(self.prompts[self.order[at]][depth:common])
                branches.append(self.branch((at, stop), more, common, levels - 1))
            else:
                rows += self.order[at:stop]
            at = stop
        return Branch(tokens, depth, tuple(rows), tuple(branches))

    def _spared(self, start: int, end: int, common: int) -> int:
        """How often a branch of some prompts spares what they have in common."""
        if self.packed is None:
            return end - start - 1
        rest = sum(len(self.prompts[place]) - common for place in self.order[start:end])
        return (rest - 1) // self.packed


def shared(one: Ids, other: Ids) -> int:
    """How many tokens two prompts begin with alike, less what would leave one of them empty."""
    most = min(len(one), len(other)) - 1
    return next((place for place in range(most) if one[place] != other[place]), most)
