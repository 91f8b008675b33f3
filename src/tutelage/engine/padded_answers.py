"""Answers from padded batches: generation, and log-probabilities of choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from tutelage.engine.encoded_request import EncodedRequest
from tutelage.engine.generation import Generation
from tutelage.engine.limits import BatchLimits
from tutelage.engine.padded_batch import PaddedBatch, pad
from tutelage.engine.prefix_tree import PrefixNode
from tutelage.engine.sampling import next_tokens
from tutelage.engine.scoring import ChoiceScore, log_probabilities

Prefilled = tuple[list[EncodedRequest], PaddedBatch]
"""Requests, and the batch in which their prompts have gone through the model."""


def plan_batches(
    node: PrefixNode, requests: Sequence[EncodedRequest], limits: BatchLimits, token_bytes: int
) -> Iterator[list[int]]:
    """Divide a node's requests into batches, the longest first, so that requests of similar length meet.

    Args:
        node: the shared prefix, which is held once for each row of a batch.
        requests: all requests; the node names its own by index.
        limits: of a batch.
        token_bytes: bytes of KV cache for each token of a row.
    """

    def longest_first(index: int) -> tuple[int, str]:
        return -len(requests[index].prompt), requests[index].request.id

    def fits(indices: Sequence[int]) -> bool:
        """Whether requests, of which the first is the longest, fit into one batch."""
        group = [requests[index] for index in indices]
        rows = sum(max(1, len(request.choices)) for request in group)  # of the cache: one a choice
        width = len(group[0].prompt) - node.length
        row_tokens = node.length + width + max(request.max_answer_tokens for request in group)
        return (
            len(group) <= limits.rows
            and rows * width <= limits.prompt_tokens
            and rows * row_tokens * token_bytes <= limits.cache_bytes
        )

    batch: list[int] = []
    for index in sorted(node.prompts, key=longest_first):
        if batch and not fits([*batch, index]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def generate_padded(
    batches: Iterator[Prefilled], append: Callable[[Generation, int], None]
) -> Iterator[list[Generation]]:
    """Generate answers, one batch after the other; gives generations as they end, several at a time.

    Args:
        batches: prefilled requests, made as they are needed.
        append: gives a generation its next token and sets `finish` if that ends it.
    """
    for requests, batch in batches:
        active = [Generation(request.request) for request in requests]
        while True:
            tokens = next_tokens(batch.logits, active)
            for generation, token in zip(active, tokens, strict=True):
                append(generation, token)
            unfinished = [row for row, generation in enumerate(active) if not generation.finish]
            if len(unfinished) < len(active):
                yield [generation for generation in active if generation.finish]
                active = [active[row] for row in unfinished]
                if not active:
                    break
                batch.select(torch.tensor(unfinished, device=batch.logits.device))
                tokens = [tokens[row] for row in unfinished]
            fed = torch.tensor(tokens, device=batch.logits.device)
            batch.logits = batch.feed(fed[:, None])[:, -1]


def score_padded_choices(
    requests: Sequence[EncodedRequest], batch: PaddedBatch, *, pad_id: int
) -> list[list[ChoiceScore]]:
    """How likely each choice's tokens are behind its prompt, by request.

    The prompt's last logits (B, V) give each choice's first token. Choices of more tokens are then fed in one pass, each a row
    that continues a copy of its prompt's cache.
    """
    choices = [request.choices for request in requests]
    first, likeliest = log_probabilities(batch.logits), batch.logits.argmax(-1).tolist()
    scores = [
        [ChoiceScore(float(first[row, ids[0]]), likeliest[row] == ids[0]) for ids in of_row]
        for row, of_row in enumerate(choices)
    ]
    longer = [(row, n) for row, of_row in enumerate(choices) for n, ids in enumerate(of_row) if len(ids) > 1]
    if not longer:
        return scores
    device = first.device
    batch.select(torch.tensor([row for row, _ in longer], device=device))
    ids, mask = pad([choices[row][n][:-1] for row, n in longer], pad_id, device)
    logits = batch.feed(ids, mask=mask)
    log_probs, argmax = log_probabilities(logits), logits.argmax(-1)  # (choices, T, V), (choices, T)
    for fed_row, (row, n) in enumerate(longer):
        tokens = choices[row][n][1:]
        positions = torch.arange(len(tokens), device=device)
        rest = float(log_probs[fed_row, positions, torch.tensor(tokens, device=device)].sum())
        greedy = argmax[fed_row, : len(tokens)].tolist() == list(tokens)
        start = scores[row][n]
        scores[row][n] = ChoiceScore(start.log_probability + rest, start.greedy and greedy)
    return scores
