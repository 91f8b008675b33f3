"""What a pass need not compute: behind the last attention, a token whose logits nobody asks for is read by nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def only_at(model: Any, places: torch.Tensor) -> Iterator[None]:
    """While the block runs, the last layer's feed-forward part is computed at these places only; the others give zeros.

    Models whose last layer has no part of its own for that (`mlp`), or one that gives more than a tensor, compute all.

    Args:
        model: a decoder-only model that is asked for the logits at `places` and no others.
        places: (n), indices of tokens of a batch of one row.
    """
    part = _feed_forward(model)
    if part is None:
        yield
        return
    whole = part.forward

    def forward(hidden: torch.Tensor, *args: Any, **named: Any) -> Any:
        if args or named:
            return whole(hidden, *args, **named)
        some = whole(hidden[:, places])
        if not isinstance(some, torch.Tensor):
            return whole(hidden)
        return some.new_zeros(hidden.shape).index_copy_(1, places, some)

    part.forward = forward
    try:
        yield
    finally:
        del part.forward


def _feed_forward(model: Any) -> nn.Module | None:
    lists = (one for one in model.get_decoder().children() if isinstance(one, nn.ModuleList))
    layers = next(lists, None)
    part = getattr(layers[-1], "mlp", None) if layers else None
    # A part whose `forward` is not its class's was replaced by something else, which may look at all tokens.
    return part if isinstance(part, nn.Module) and "forward" not in vars(part) else None
