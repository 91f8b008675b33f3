"""Replaces a model's attention for one pass, when more is known about its tokens than a mask can say.

It works for models that look their attention up by name in transformers' table. Others keep their own and see the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface

NAME = "tutelage"
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float | None], torch.Tensor]
"""Attention of one layer: (queries, keys, values, scale) to outputs (N, T, H, d).

Queries are (N, H, T, d) with N rows, H query heads, T new tokens and head dimension d; keys and values are (N, KV heads, S, d)
with S tokens to attend to. Under grouped-query attention, query heads h * H/KV ... (h + 1) * H/KV - 1 share KV head h. The scale
multiplies the scores; None is d ** -0.5.
"""
_CURRENT: ContextVar[Attend] = ContextVar("attend")


@contextmanager
def custom_attention(model: Any, attend: Attend) -> Iterator[None]:
    """While the block runs, every layer of the model computes its attention with `attend`."""
    config = model.config.get_text_config()
    original = config._attn_implementation  # noqa: SLF001  # where transformers keeps it
    token = _CURRENT.set(attend)
    config._attn_implementation = NAME  # noqa: SLF001  # as above
    try:
        yield
    finally:
        config._attn_implementation = original  # noqa: SLF001  # as above
        _CURRENT.reset(token)


def _call_current(
    _module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_named: Any,
) -> tuple[torch.Tensor, None]:
    """The signature by which transformers calls an attention."""
    return _CURRENT.get()(query, key, value, scaling), None


AttentionInterface.register(NAME, _call_current)
