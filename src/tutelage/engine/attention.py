"""Attention put in place of a model's own for one pass, where more is known of the tokens than a mask says.

Models that take their attention from transformers' table by name take it; others keep their own, which then sees a mask.
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
"""Queries (N, H, T, d), keys and values (N, heads, S, d) and the scale of scores, d ** -0.5 where none is given, to (N, T, H, d)."""
_NOW: ContextVar[Attend] = ContextVar("attend")


@contextmanager
def attending(model: Any, attend: Attend) -> Iterator[None]:
    """While the block runs, the model's attention is this."""
    config = model.config.get_text_config()
    before = config._attn_implementation  # noqa: SLF001  # where transformers keeps it
    token = _NOW.set(attend)
    config._attn_implementation = NAME  # noqa: SLF001  # as above
    try:
        yield
    finally:
        config._attn_implementation = before  # noqa: SLF001  # as above
        _NOW.reset(token)


def _now(
    _module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_named: Any,
) -> tuple[torch.Tensor, None]:
    """In the form that transformers calls it."""
    return _NOW.get()(query, key, value, scaling), None


AttentionInterface.register(NAME, _now)
