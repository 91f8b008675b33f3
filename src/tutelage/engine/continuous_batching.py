"""Continuous batching: generation in which finished requests leave the batch and waiting ones take their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tutelage.engine.decode_batch import DecodeBatch
from tutelage.engine.encoded_request import EncodedRequest
from tutelage.engine.generation import Generation
from tutelage.engine.limits import BatchLimits
from tutelage.engine.packed_scoring import PACK_TOKENS, Pack, pack_requests
from tutelage.engine.prefix_tree import PrefixNode
from tutelage.engine.sampling import next_tokens
from tutelage.engine.shared_prefix import SharedPrefix

WaitingPack = tuple[SharedPrefix, list[EncodedRequest], Pack]
"""Requests, the prefix that they continue, and the rest of their prompts as one pack."""


def waiting_packs(
    nodes: Iterable[tuple[PrefixNode, Any]],
    requests: Sequence[EncodedRequest],
    limits: BatchLimits,
    cached_tokens: int,
) -> Iterator[WaitingPack]:
    """Pack requests by their shared prefix, those with the longest prompts of a prefix first.

    Args:
        nodes: each prefix with its KV cache, None at the root; depth first.
        requests: all requests; nodes name theirs by index.
        limits: of a batch.
        cached_tokens: the most tokens in all KV caches.
    """
    for node, cache in nodes:
        prefix = SharedPrefix(node.length, cache, node.ancestor_tokens)
        order = sorted(node.prompts, key=lambda index: (-len(requests[index].prompt), index))
        of_node = [requests[index] for index in order]
        width = max((_width(request, prefix) for request in of_node), default=1)
        # A quarter of the rows, so that few must have ended before the next pack is admitted; fewer if the cache has no room.
        free = cached_tokens - prefix.ancestor_tokens - prefix.length
        rows = max(1, min(limits.rows // 4, free // width))
        tokens = min(limits.prompt_tokens, PACK_TOKENS)
        for packed, pack in pack_requests(of_node, prefix.length, tokens=tokens, rows=rows):
            yield prefix, packed, pack


def generate(
    model: Any,
    packs: Iterator[WaitingPack],
    append: Callable[[Generation, int], None],
    *,
    rows: int,
    cached_tokens: int,
) -> Iterator[list[Generation]]:
    """Generate answers; gives generations as they end, several at a time.

    Args:
        model: a decoder-only model that takes decode batches, in inference mode.
        packs: the requests, in the order in which they are admitted.
        append: gives a generation its next token and sets `finish` if that ends it.
        rows: generations in progress at once.
        cached_tokens: the most tokens in all KV caches, of rows up to their ends and of prefixes, unless one pack needs more.
    """
    batch = DecodeBatch(model, max_rows=rows)
    active: list[Generation] = []
    tokens: list[int] = []
    waiting = next(packs, None)
    while active or waiting:
        while waiting and _fits(batch, waiting, rows=rows, cached_tokens=cached_tokens):
            prefix, requests, pack = waiting
            free = cached_tokens - _prefix_tokens(batch, prefix)
            admitted = [Generation(request.request) for request in requests]
            tokens += next_tokens(batch.admit(prefix, requests, pack, max_tokens=free), admitted)
            active += admitted
            waiting = next(packs, None)
        for generation, token in zip(active, tokens, strict=True):
            append(generation, token)
        finished = {row for row, generation in enumerate(active) if generation.finish}
        if finished:
            yield [active[row] for row in sorted(finished)]
            order = batch.remove(finished)
            active, tokens = [active[row] for row in order], [tokens[row] for row in order]
        if active:
            tokens = next_tokens(batch.feed(tokens), active)


def _width(request: EncodedRequest, prefix: SharedPrefix) -> int:
    """Tokens of a request's own KV cache at the end of its answer."""
    return len(request.prompt) - prefix.length + request.max_answer_tokens


def _prefix_tokens(batch: DecodeBatch, prefix: SharedPrefix) -> int:
    """Tokens of all prefixes that are held once rows of this one are admitted."""
    return prefix.ancestor_tokens + sum(shared.length for shared in batch.prefixes() | {prefix})


def _fits(batch: DecodeBatch, waiting: WaitingPack, *, rows: int, cached_tokens: int) -> bool:
    """Whether a pack can be admitted now: always into an empty batch, else if rows and cache suffice up to its answers' ends."""
    prefix, requests, _ = waiting
    if not len(batch):
        return True
    if len(batch) + len(requests) > rows:
        return False
    width = max(_width(request, prefix) for request in requests)
    return _prefix_tokens(batch, prefix) + batch.tokens_with(len(requests), width) <= cached_tokens
