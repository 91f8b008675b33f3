"""What rows have in common, read once: nothing that goes on from it changes, copies or grows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """Tokens that rows have in common.

    Attributes:
        depth: how many; 0 where nothing is shared.
        cache: their keys and values, (1, heads, depth, d) a layer.
        above: tokens of the beginnings that this one goes on from, which are held as well.
    """

    depth: int = 0
    cache: Any = None
    above: int = 0


class _Behind(DynamicLayer):  # type: ignore[misc]  # transformers is not typed
    """A layer whose new keys and values come behind others and are kept apart: only the pass itself sees both together."""

    def __init__(self, begun: Any) -> None:
        super().__init__()
        self.dtype, self.device = begun.keys.dtype, begun.keys.device
        self.keys, self.values, self.is_initialized = begun.keys, begun.values, True
        self.fresh: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_named: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep new ones, (1, heads, T, d); gives all, (1, heads, depth + T, d)."""
        self.fresh = key_states, value_states
        return torch.cat([self.keys, key_states], -2), torch.cat([self.values, value_states], -2)


def behind(cache: Any) -> Cache:
    """A cache for one pass of tokens that go on from what a cache of one row holds, which stays as it is."""
    return Cache(layers=[_Behind(layer) for layer in cache.layers])


def fresh(cache: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The keys and values that a pass has put behind, a pair a layer; of a cache that was empty, all of them."""
    found = []
    for layer in cache.layers:
        own = layer.fresh if isinstance(layer, _Behind) else (layer.keys, layer.values)
        assert own is not None
        found.append(own)
    return found
