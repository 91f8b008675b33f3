"""A tree of the prefixes that prompts share, so that each shared prefix goes through the model once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MIN_TOKENS = 16
"""Tokens that a node adds at least: fewer cost more as a pass of their own than they save."""
MIN_SAVED = 64
"""Tokens that a node saves at least, over all its prompts."""
MAX_DEPTH = 4
"""Nodes above a prompt at most: the KV cache of each is held while its prompts are answered."""

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class PrefixNode:
    """A prefix that several prompts share.

    Attributes:
        tokens: those that it adds to its parent's prefix; none at the root.
        length: tokens of the whole prefix, from the prompts' first token on.
        prompts: indices of the prompts that share no longer prefix with others.
        children: the longer prefixes that some of its prompts share.
        ancestor_tokens: tokens of all prefixes above it, each counted in full.
    """

    tokens: tuple[int, ...]
    length: int
    prompts: tuple[int, ...]
    children: tuple[PrefixNode, ...]
    ancestor_tokens: int = 0


def build_prefix_tree(prompts: Sequence[Ids], *, pack_tokens: int | None = None) -> PrefixNode:
    """The shared prefixes of some prompts. At least one token of each prompt is left behind its prefix.

    Args:
        prompts: token ids, none empty.
        pack_tokens: tokens of a pack, if neighbours in a pack share their prefix without a node; None if every prompt is
            read in full.
    """
    # In lexical order, prompts with a common prefix are neighbours, and each shares its longest one with a neighbour.
    order = sorted(range(len(prompts)), key=lambda index: (list(prompts[index]), index))
    shared = [0, *(shared_length(prompts[a], prompts[b]) for a, b in pairwise(order))]

    def passes_saved(start: int, end: int, common: int) -> int:
        """How often the first `common` tokens of `order[start:end]` would go through the model without a node, less once."""
        if pack_tokens is None:
            return end - start - 1
        return (sum(len(prompts[index]) - common for index in order[start:end]) - 1) // pack_tokens

    def node(
        start: int, end: int, tokens: tuple[int, ...], length: int, ancestors: tuple[int, ...]
    ) -> PrefixNode:
        """The node of the prompts `order[start:end]`, below prefixes of these lengths."""
        indices: list[int] = []
        children: list[PrefixNode] = []
        while start < end:
            stop = start + 1
            while stop < end and shared[stop] - length >= MIN_TOKENS:
                stop += 1
            common = min(shared[start + 1 : stop], default=length)
            saved = passes_saved(start, stop, common) * (common - length)
            if saved >= MIN_SAVED and len(ancestors) < MAX_DEPTH:
                added = tuple(prompts[order[start]][length:common])
                children.append(node(start, stop, added, common, (*ancestors, length)))
            else:
                indices += order[start:stop]
            start = stop
        return PrefixNode(tokens, length, tuple(indices), tuple(children), sum(ancestors))

    return node(0, len(order), (), 0, ())


def common_prefix_length(first: Ids, second: Ids) -> int:
    """The length of the longest common prefix of two texts, in tokens."""
    pairs = zip(first, second, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def shared_length(first: Ids, second: Ids) -> int:
    """How many tokens two prompts can share as a prefix, if one token of each must be left behind it."""
    return common_prefix_length(first[:-1], second[:-1])
