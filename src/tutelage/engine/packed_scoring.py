"""Scores the choices of many requests in one pass without padding: requests lie end to end, and attention keeps them apart.

Each request is a small tree: its prompt, and behind the prompt each of its choices. A pack lays the trees end to end:

    shared prefix | prompt A, choice A1, choice A2 | rest of prompt B, choice B1, choice B2 | ...

A token attends to the shared prefix (held once in a KV cache), to its own request's prompt, and to its own choice, in each case up
to itself. It has the position that it would have in prompt + choice alone. If prompt B begins like prompt A, its common tokens
are not repeated: the tokens of B attend to them where they lie, in A. Choices are never shared between requests. The output layer
is computed only for tokens that predict a token of a choice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention

from tutelage.engine.attention import custom_attention
from tutelage.engine.encoded_request import EncodedRequest
from tutelage.engine.last_layer_pruning import prune_last_mlp
from tutelage.engine.prefix_tree import shared_length
from tutelage.engine.scoring import forward_logits, log_probabilities
from tutelage.engine.shared_prefix import continuation

PACK_TOKENS = 512
"""Tokens of a pass, unless a single request has more: up to 1,024 are as quick, and take more memory."""
Span = tuple[int, int]
"""From which token up to which, the end excluded."""
_SCORED_AT_ONCE = 32
"""Tokens whose distributions over the whole vocabulary are held at once."""


class Target(NamedTuple):
    """A choice's token to be scored: predicted behind token `position` of the pack, for choice `choice` of request `request`."""

    position: int
    request: int
    choice: int
    token: int


@dataclass(frozen=True, slots=True)
class Pack:
    """Requests that go through the model as one row of T tokens.

    Attributes:
        ids: (T), the tokens, end to end.
        positions: (T), each token's position in its own text, counted from the end of the shared prefix.
        choices: (T), which choice of its request a token belongs to, counted from 1; 0 for tokens of the prompt.
        spans: by request, which tokens of the pack it consists of: first those of earlier requests' prompts that its own prompt
            begins with, last its own.
        targets: the choices' tokens that are scored.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    spans: list[tuple[Span, ...]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def add(self, encoded: EncodedRequest, prefix_length: int, *, common: int = 0) -> None:
        """Append a request.

        Args:
            encoded: the request.
            prefix_length: tokens of its prompt that are in the shared prefix.
            common: further tokens that its prompt shares with the last request's; fewer than its prompt has behind the prefix.
        """
        request, start = len(self.spans), len(self.ids)
        borrowed = _leading(self.spans[-1], common) if common else ()
        self._append(encoded.prompt[prefix_length + common :], 0, position=common)
        last_of_prompt = len(self.ids) - 1
        for choice, ids in enumerate(encoded.choices):
            # A token is predicted by the one before it: the first by the prompt's last. A choice's last token predicts nothing.
            self.targets.append(Target(last_of_prompt, request, choice, ids[0]))
            first = len(self.ids)
            self._append(ids[:-1], choice + 1, position=len(encoded.prompt) - prefix_length)
            self.targets.extend(Target(first + n, request, choice, token) for n, token in enumerate(ids[1:]))
        self.spans.append((*borrowed, (start, len(self.ids))))

    def _append(self, ids: Sequence[int], choice: int, *, position: int) -> None:
        self.ids.extend(ids)
        self.positions.extend(range(position, position + len(ids)))
        self.choices.extend([choice] * len(ids))

    @property
    def causal(self) -> bool:
        """Whether each token attends to all before it, so that no mask is needed."""
        return len(self.spans) == 1 and not any(self.choices)


def _leading(spans: Sequence[Span], count: int) -> tuple[Span, ...]:
    """Where the first `count` tokens of some spans lie."""
    leading = []
    for start, end in spans:
        leading.append((start, min(end, start + count)))
        count -= end - start
        if count <= 0:
            break
    return tuple(leading)


def pack_requests(
    requests: Sequence[EncodedRequest],
    prefix_length: int,
    *,
    tokens: int = PACK_TOKENS,
    rows: int = sys.maxsize,
    share_neighbours: bool = False,
) -> Iterator[tuple[list[EncodedRequest], Pack]]:
    """Divide requests into packs of at most so many tokens and requests; a longer request gets a pack of its own.

    Args:
        requests: the requests; with `share_neighbours`, those with similar prompts next to each other.
        prefix_length: tokens that all prompts share and that are already in a KV cache.
        tokens: of a pack.
        rows: requests of a pack.
        share_neighbours: whether a prompt's common beginning with the prompt before it is not repeated.
    """
    packed: list[EncodedRequest] = []
    pack = Pack()
    for encoded in requests:
        common = (
            shared_length(packed[-1].prompt, encoded.prompt) - prefix_length
            if share_neighbours and packed
            else 0
        )
        size = len(encoded.prompt) - prefix_length - common + sum(len(ids) - 1 for ids in encoded.choices)
        if packed and (len(pack.ids) + size > tokens or len(packed) == rows):
            yield packed, pack
            packed, pack, common = [], Pack(), 0
        pack.add(encoded, prefix_length, common=common)
        packed.append(encoded)
    if packed:
        yield packed, pack


def score_packed_choices(
    model: Any, pack: Pack, requests: Sequence[EncodedRequest], cache: Any, prefix_length: int
) -> list[list[float]]:
    """The summed log-probability (nats) of each choice's tokens, by request.

    Args:
        model: a decoder-only model that takes packs, in inference mode.
        pack: the requests' tokens.
        requests: the requests.
        cache: KV cache of the shared prefix, which stays as it is; None if nothing is shared.
        prefix_length: tokens of the shared prefix.
    """
    indices = sorted({target.position for target in pack.targets})
    row_of = {index: row for row, index in enumerate(indices)}
    logits = packed_logits(
        model, pack, indices, None if cache is None else continuation(cache), prefix_length
    )
    device = logits.device
    rows = torch.tensor([row_of[target.position] for target in pack.targets], device=device)
    tokens = torch.tensor([target.token for target in pack.targets], device=device)
    sums = [[0.0] * len(encoded.choices) for encoded in requests]
    for target, log_prob in zip(pack.targets, _log_probs(logits, rows, tokens), strict=True):
        sums[target.request][target.choice] += log_prob
    return sums


def packed_logits(
    model: Any, pack: Pack, indices: Sequence[int], cache: Any, prefix_length: int
) -> torch.Tensor:
    """Logits behind some tokens of a pack, (n, V).

    Args:
        model: a decoder-only model that takes packs, in inference mode.
        pack: the tokens.
        indices: indices of n tokens of the pack, ascending.
        cache: takes the pack's keys and values behind those of the shared prefix; None if nobody needs them.
        prefix_length: tokens of the shared prefix.
    """
    device = model.device
    positions = torch.tensor(indices, device=device)
    inputs = {
        "input_ids": torch.tensor([pack.ids], device=device),
        "position_ids": torch.tensor([pack.positions], device=device) + prefix_length,
        "past_key_values": cache,
        "use_cache": cache is not None,
        "logits_to_keep": positions,
    }
    with prune_last_mlp(model, positions):
        if pack.causal:
            return forward_logits(model, **inputs)[0]
        mask = attention_mask(pack, prefix_length, model.dtype, device)
        with custom_attention(model, _SpanAttention(pack, prefix_length, mask).attend):
            return forward_logits(model, **inputs, attention_mask=mask)[0]


class _Part(NamedTuple):
    """One request of a pack, for its attention.

    Attributes:
        start: where its own tokens begin in the pack, which are its queries.
        end: where they end.
        keys: the spans of keys that it attends to, the shared prefix included; S keys in all.
        mask: (1, 1, end - start, S), added to the scores.
    """

    start: int
    end: int
    keys: list[Span]
    mask: torch.Tensor


class _SpanAttention:
    """Attention of a pack request by request, over the spans of keys that the request consists of.

    It gives what the mask over the whole pack would give, but computes no scores between tokens of different requests.

    Args:
        pack: the requests' tokens, T in all.
        prefix_length: tokens of the shared prefix, P.
        mask: of the whole pack, (1, 1, T, P + T).
    """

    def __init__(self, pack: Pack, prefix_length: int, mask: torch.Tensor) -> None:
        self._parts = [self._part(spans, prefix_length, mask) for spans in pack.spans]

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
    ) -> torch.Tensor:
        """Queries (1, H, T, d), keys and values (1, KV, P + T, d) to outputs (1, T, H, d)."""
        kv_heads, size = key.shape[1], value.shape[-1]
        per_kv = query.shape[1] // kv_heads
        output = query.new_empty(query.shape[2], kv_heads, per_kv, size)
        for start, end, spans, mask in self._parts:
            # (KV, H/KV, S, d): the heads of keys and values, each repeated for its query heads without a copy.
            keys, values = (
                _gather(tensor[0, :, None], spans).expand(-1, per_kv, -1, -1) for tensor in (key, value)
            )
            queries = query[0, :, start:end].view(kv_heads, per_kv, end - start, -1)
            attended = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scaling)
            output[start:end] = attended.permute(2, 0, 1, 3)
        return output.view(1, -1, kv_heads * per_kv, size)

    def _part(self, spans: Sequence[Span], prefix_length: int, mask: torch.Tensor) -> _Part:
        start, end = spans[-1]
        prefix = [(0, prefix_length)] if prefix_length else []
        keys = [*prefix, *((prefix_length + first, prefix_length + last) for first, last in spans)]
        own_mask = _gather(mask[:, :, start:end].transpose(-1, -2), keys).transpose(-1, -2)
        return _Part(start, end, keys, own_mask)


def _gather(tensor: torch.Tensor, spans: Sequence[Span]) -> torch.Tensor:
    """Spans of the last dimension but one, end to end."""
    parts = [tensor.narrow(-2, start, end - start) for start, end in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -2)


def _log_probs(logits: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> list[float]:
    """The log-probability of each token at its row of the logits (n, V)."""
    log_probs: list[float] = []
    for start in range(0, len(rows), _SCORED_AT_ONCE):
        chunk = slice(start, start + _SCORED_AT_ONCE)
        distributions = log_probabilities(logits[rows[chunk]])
        log_probs += distributions.gather(-1, tokens[chunk, None])[:, 0].double().tolist()
    return log_probs


def attention_mask(pack: Pack, prefix_length: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A mask that is added to attention scores, (1, 1, T, P + T): 0 for what a token attends to, else the least number.

    Row t is the token that attends, column P + s a token of the pack, and columns below P the shared prefix, which all attend to.
    """
    size, choices = len(pack.ids), torch.tensor(pack.choices)
    visible = torch.zeros(size, size, dtype=torch.bool)
    for *borrowed, (start, end) in pack.spans:
        for first, last in borrowed:
            visible[start:end, first:last] = True
        own = choices[start:end]
        # The request's own prompt and its own choice, up to itself.
        visible[start:end, start:end] = ((own == 0) | (own[:, None] == own)).tril()
    mask = torch.zeros(size, prefix_length + size, dtype=dtype)
    mask[:, prefix_length:].masked_fill_(~visible, torch.finfo(dtype).min)
    return mask[None, None].to(device)
