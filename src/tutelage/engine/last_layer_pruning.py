"""Skips the last layer's feed-forward part for tokens whose logits are not needed.

No later layer reads its output, so only those tokens' logits depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def prune_last_mlp(model: Any, positions: torch.Tensor) -> Iterator[None]:
    """While the block runs, the last layer's feed-forward part runs at these positions only and gives zeros elsewhere.

    A model whose last layer has no `mlp`, or one that returns more than a tensor, computes all positions.

    Args:
        model: a decoder-only model of which only the logits at `positions` are used.
        positions: (n), indices of tokens in a batch of one row.
    """
    mlp = _last_mlp(model)
    if mlp is None:
        yield
        return
    full_forward = mlp.forward

    def forward(hidden: torch.Tensor, *args: Any, **named: Any) -> Any:
        if args or named:
            return full_forward(hidden, *args, **named)
        output = full_forward(hidden[:, positions])
        if not isinstance(output, torch.Tensor):
            return full_forward(hidden)
        return output.new_zeros(hidden.shape).index_copy_(1, positions, output)

    mlp.forward = forward
    try:
        yield
    finally:
        del mlp.forward


def _last_mlp(model: Any) -> nn.Module | None:
    lists = (module for module in model.get_decoder().children() if isinstance(module, nn.ModuleList))
    layers = next(lists, None)
    mlp = getattr(layers[-1], "mlp", None) if layers else None
    # If `forward` was replaced on the instance, the replacement may look at all tokens.
    return mlp if isinstance(mlp, nn.Module) and "forward" not in vars(mlp) else None
