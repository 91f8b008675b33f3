"""A batch of generations, each with its own KV cache behind a prefix whose KV cache is held once for all that share it.

A row attends to two pieces in one softmax: the prefix that it shares with other rows, and its own tokens. So a prefix is neither
copied for each row nor padded, and rows of different prefixes go through the model together. A finished row gives its place to
the next one. The rows' caches are allocated ahead, so that a new token moves nothing that is already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

from tutelage.engine.attention import custom_attention
from tutelage.engine.encoded_request import EncodedRequest
from tutelage.engine.packed_scoring import Pack, packed_logits
from tutelage.engine.scoring import forward_logits
from tutelage.engine.shared_prefix import KeysValues, SharedPrefix, added_keys_values, continuation


@dataclass(slots=True)
class _Slot:
    """A row: its prefix, how many tokens its own cache has now, and how many at the end of its answer."""

    prefix: SharedPrefix
    length: int
    max_length: int


class DecodeBatch:
    """Generations in progress, as rows numbered from 0 without gaps.

    Args:
        model: a decoder-only model that takes decode batches, in inference mode.
        max_rows: the most rows at once.
    """

    def __init__(self, model: Any, *, max_rows: int) -> None:
        self.model = model
        self._max_rows = max_rows
        self._slots: list[_Slot] = []
        self._capacity = (0, 0)  # rows, and tokens of each row
        self._layers: list[
            KeysValues
        ] = []  # by layer, keys and values (rows, KV heads, tokens, d) of that capacity
        self._groups: _PrefixGroups | None = None

    def __len__(self) -> int:
        return len(self._slots)

    def tokens_with(self, count: int, width: int) -> int:
        """Tokens that the rows' caches need with so many more rows of this width, prefixes not counted."""
        return (len(self) + count) * max([width, *(slot.max_length for slot in self._slots)])

    def prefixes(self) -> set[SharedPrefix]:
        """Prefixes of the rows in progress."""
        return {slot.prefix for slot in self._slots}

    def admit(
        self, prefix: SharedPrefix, requests: Sequence[EncodedRequest], pack: Pack, *, max_tokens: int
    ) -> torch.Tensor:
        """Add rows behind the others; gives the logits behind their prompts, (N, V).

        Args:
            prefix: what their prompts share.
            requests: the rows.
            pack: their prompts' tokens behind the prefix.
            max_tokens: how many tokens the caches of all rows may have, unless they need more.
        """
        cache = continuation(prefix.cache) if prefix.length else DynamicCache(config=self.model.config)
        lengths = [len(request.prompt) - prefix.length for request in requests]
        last_tokens = [end - 1 for end in accumulate(lengths)]
        logits = packed_logits(self.model, pack, last_tokens, cache, prefix.length)
        first_row, added = len(self), added_keys_values(cache)
        slots = [
            _Slot(prefix, length, length + request.max_answer_tokens)
            for length, request in zip(lengths, requests, strict=True)
        ]
        self._reserve(added, self._slots + slots, max_tokens)
        for layer, added_layer in zip(self._layers, added, strict=True):
            for rows, packed in zip(layer, added_layer, strict=True):
                start = 0
                for row, length in enumerate(lengths, start=first_row):
                    rows[row, :, :length] = packed[0, :, start : start + length]
                    start += length
        self._slots += slots
        self._groups = None
        return logits

    def feed(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append a token to each row; gives the logits behind it, (N, V)."""
        device = self.model.device
        lengths = torch.tensor([slot.length for slot in self._slots], device=device)
        prefix_lengths = torch.tensor([slot.prefix.length for slot in self._slots], device=device)
        used = int(lengths.max()) + 1
        visible = torch.arange(used, device=device)[None] <= lengths[:, None]
        mask = torch.zeros(visible.shape, dtype=self.model.dtype, device=device)
        mask.masked_fill_(~visible, torch.finfo(self.model.dtype).min)
        step = _DecodeStep(self._grouped(), mask[:, None, None], lengths, used)
        layers = [_DecodeLayer(keys, values, step) for keys, values in self._layers]
        with custom_attention(self.model, step.attend):
            logits = forward_logits(
                self.model,
                input_ids=torch.tensor(tokens, device=device)[:, None],
                position_ids=(prefix_lengths + lengths)[:, None],
                attention_mask=step.mask,
                past_key_values=Cache(layers=layers),
                use_cache=True,
                logits_to_keep=1,
            )
        for slot in self._slots:
            slot.length += 1
        return logits[:, -1]

    def remove(self, finished: set[int]) -> list[int]:
        """Remove rows and close the gaps with the last ones; gives, for each row that is left, its number before."""
        count = len(self) - len(finished)
        movers = iter([row for row in range(count, len(self)) if row not in finished])
        order = [next(movers) if row in finished else row for row in range(count)]
        for row, source in enumerate(order):
            if row != source:
                length = self._slots[source].length
                for layer in self._layers:
                    for rows in layer:
                        rows[row, :, :length] = rows[source, :, :length]
        self._slots = [self._slots[row] for row in order]
        self._groups = None
        return order

    def _grouped(self) -> _PrefixGroups:
        if self._groups is None:
            members: dict[SharedPrefix, list[int]] = {}
            for row, slot in enumerate(self._slots):
                members.setdefault(slot.prefix, []).append(row)
            order = [row for rows in members.values() for row in rows]
            ends = list(accumulate(map(len, members.values()), initial=0))
            spans = [slice(*pair) for pair in pairwise(ends)]
            sorted_already = order == list(range(len(order)))
            permutation = None if sorted_already else torch.tensor(order, device=self.model.device)
            self._groups = _PrefixGroups(list(zip(members, spans, strict=True)), permutation)
        return self._groups

    def _reserve(self, like: Sequence[KeysValues], slots: Sequence[_Slot], max_tokens: int) -> None:
        """Allocate room for these rows up to their ends, of which those in progress are the first.

        Args:
            like: keys and values by layer, for their shapes.
            slots: the rows.
            max_tokens: tokens to allocate in all, unless the rows need more.
        """
        width = max(slot.max_length for slot in slots)
        fits = len(slots) <= self._capacity[0] and width <= self._capacity[1]
        if fits and self._capacity[0] * self._capacity[1] <= max_tokens:
            return
        # For all rows that may still come, as far as that goes: allocations row by row would leave holes between them.
        capacity = max(len(slots), min(self._max_rows, max_tokens // width)), width
        if not self._layers:
            self._layers = [(keys[:0], values[:0]) for keys, values in like]
        # One layer after the other, so that little is held twice.
        for number, (keys, values) in enumerate(self._layers):
            self._layers[number] = self._resized(keys, capacity), self._resized(values, capacity)
        self._capacity = capacity

    def _resized(self, old: torch.Tensor, capacity: tuple[int, int]) -> torch.Tensor:
        """A layer's keys or values with another capacity: zeros beyond the rows, as masked values are multiplied too."""
        new = old.new_zeros((capacity[0], old.shape[1], capacity[1], old.shape[3]))
        for row, slot in enumerate(self._slots):
            new[row, :, : slot.length] = old[row, :, : slot.length]
        return new


class _PrefixGroups:
    """Rows sorted by prefix.

    Args:
        spans: each prefix and its rows, counted in sorted order.
        permutation: the rows in sorted order; None if they are sorted already.
    """

    def __init__(self, spans: Sequence[tuple[SharedPrefix, slice]], permutation: torch.Tensor | None) -> None:
        self.spans = spans
        self._permutation = permutation
        self._inverse = None if permutation is None else permutation.argsort()

    def sorted(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (N, ...) with those of one prefix together."""
        return rows if self._permutation is None else rows[self._permutation]

    def unsorted(self, rows: torch.Tensor) -> torch.Tensor:
        """Sorted rows (N, ...) in their own order again."""
        return rows if self._inverse is None else rows[self._inverse]


@dataclass(slots=True)
class _DecodeStep:
    """One pass of one new token a row.

    Attributes:
        groups: the rows by prefix.
        mask: added to the scores of the rows' own tokens, (N, 1, 1, used): 0, or the least number beyond a row's length.
        positions: (N,), where each row's new token goes in its own cache.
        used: tokens of the longest row's own cache, the new one included.
        layer: number of the layer that has written its keys last, and whose attention comes next; -1 before the first.
    """

    groups: _PrefixGroups
    mask: torch.Tensor
    positions: torch.Tensor
    used: int
    layer: int = -1

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
    ) -> torch.Tensor:
        """Attention of each row's new token over its prefix and its own tokens, in one softmax.

        Scores against the own tokens are computed for all rows at once, those against a prefix once for the group of its rows:
        the rows' queries are laid side by side and multiplied with the one copy of the prefix's keys.

        Args:
            query: (N, H, 1, d), with N rows and H query heads.
            key: (N, KV, used, d), own tokens of each row; KV heads, each serving H/KV query heads.
            value: the same shape.
            scaling: of the scores; None is d ** -0.5.

        Returns:
            (N, 1, H, d).
        """
        count, heads, _, size = query.shape
        kv_heads = key.shape[1]
        per_kv = heads // kv_heads
        scale = size**-0.5 if scaling is None else scaling
        queries = (query[:, :, 0] * scale).view(count, kv_heads, per_kv, size)
        own_scores = self.groups.sorted(torch.matmul(queries, key.transpose(-1, -2)) + self.mask)
        queries = self.groups.sorted(queries)
        prefix_output = torch.zeros_like(queries)  # (N, KV, H/KV, d)
        own_weights = torch.empty_like(own_scores)  # (N, KV, H/KV, used)
        for prefix, rows in self.groups.spans:
            group_scores = own_scores[rows]
            if not prefix.length:
                own_weights[rows] = group_scores.softmax(-1, dtype=torch.float32).to(group_scores.dtype)
                continue
            cached, length = prefix.cache.layers[self.layer], prefix.length
            # Rows and query heads of a KV head become one dimension: (KV, rows x H/KV, d).
            flat = queries[rows].transpose(0, 1).reshape(kv_heads, -1, size)
            prefix_scores = torch.matmul(flat, cached.keys[0].transpose(-1, -2))
            flat_scores = group_scores.transpose(0, 1).reshape(kv_heads, -1, self.used)
            scores = torch.cat([prefix_scores, flat_scores], -1)  # (KV, rows x H/KV, length + used)
            weights = scores.softmax(-1, dtype=torch.float32).to(group_scores.dtype)
            own_weights[rows] = weights[..., length:].view(kv_heads, -1, per_kv, self.used).transpose(0, 1)
            prefix_output[rows] = (
                torch.matmul(weights[..., :length], cached.values[0])
                .view(kv_heads, -1, per_kv, size)
                .transpose(0, 1)
            )
        output = self.groups.unsorted(prefix_output) + torch.matmul(self.groups.unsorted(own_weights), value)
        return output.view(count, 1, heads, size)


class _DecodeLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed
    """A layer's allocated keys and values; the model writes one token a row and reads those in use."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, step: _DecodeStep) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self.keys, self.values, self._step = keys, values, step

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_named: Any
    ) -> KeysValues:
        """Write one token a row, (N, KV heads, 1, d); gives what is in use, (N, KV heads, used, d)."""
        step, count = self._step, len(key_states)
        rows = torch.arange(count, device=key_states.device)
        assert self.keys is not None
        assert self.values is not None
        self.keys[rows, :, step.positions] = key_states[:, :, 0]
        self.values[rows, :, step.positions] = value_states[:, :, 0]
        step.layer += 1
        return self.keys[:count, :, : step.used], self.values[:count, :, : step.used]

    def get_seq_length(self) -> int:
        """Tokens of the longest row before the new one."""
        return self._step.used - 1
