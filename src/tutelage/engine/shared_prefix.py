"""A read-only KV cache of a prompt prefix, shared by its continuations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

KeysValues = tuple[torch.Tensor, torch.Tensor]
"""The keys and the values of one layer, each (rows, KV heads, tokens, head dimension)."""


@dataclass(frozen=True, slots=True, eq=False)
class SharedPrefix:
    """Tokens that several requests begin with.

    Attributes:
        length: how many; 0 if nothing is shared.
        cache: their KV cache, (1, KV heads, length, d) a layer.
        ancestor_tokens: tokens of the shorter prefixes above it in the tree, whose caches are held as well.
    """

    length: int = 0
    cache: Any = None
    ancestor_tokens: int = 0


class _ContinuationLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed
    """A layer that reads a prefix and keeps new keys and values separately: only one pass sees both together."""

    def __init__(self, prefix: Any) -> None:
        super().__init__()
        self.dtype, self.device = prefix.keys.dtype, prefix.keys.device
        self.keys, self.values, self.is_initialized = prefix.keys, prefix.values, True
        self.added: KeysValues | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_named: Any
    ) -> KeysValues:
        """Keep new ones, (1, KV heads, T, d); gives all, (1, KV heads, prefix + T, d)."""
        self.added = key_states, value_states
        return torch.cat([self.keys, key_states], -2), torch.cat([self.values, value_states], -2)


def continuation(cache: Any) -> Cache:
    """A cache for one pass of tokens that continue a prefix; the prefix's cache stays as it is."""
    return Cache(layers=[_ContinuationLayer(layer) for layer in cache.layers])


def added_keys_values(cache: Any) -> list[KeysValues]:
    """The keys and values that a pass has added, by layer; all of them if the cache was empty before."""
    pairs = []
    for layer in cache.layers:
        added = layer.added if isinstance(layer, _ContinuationLayer) else (layer.keys, layer.values)
        assert added is not None
        pairs.append(added)
    return pairs
