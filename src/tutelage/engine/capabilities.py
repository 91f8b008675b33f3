"""Whether a model can be asked in a quicker way than one by one: it is tried on a few tokens, never guessed from its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tutelage.models.soft_prompts import of as prompt_of

_REFUSALS = (
    TypeError,
    ValueError,
    RuntimeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)
"""What a model raises that is not made for it: arguments that it does not know, shapes that do not fit."""
_ROUNDING = 4.0
"""How many units in the last place of the weights' type two ways may be apart, as a share of all values; in float32 1e-5 is more."""


def some_ids(model: Any, first: int, count: int) -> list[int]:
    """Token ids to try a model on, from the first ones of its vocabulary."""
    top = min(model.config.get_text_config().vocab_size, 64)
    return [(first + 7 * n) % top for n in range(count)]


@torch.inference_mode()
def takes(
    model: Any, attempt: Callable[[], tuple[torch.Tensor, torch.Tensor]], *, prompts: bool = False
) -> bool:
    """Whether a quicker way gives what the plain one gives.

    Args:
        model: in evaluation mode.
        attempt: gives the values of the quicker way and of the plain one.
        prompts: whether the quicker way puts virtual tokens before every request; else a model with such does not take it.
    """
    if not prompts and prompt_of(model) is not None:
        return False
    try:
        quick, plain = attempt()
    except _REFUSALS:
        return False
    within = max(1e-5, _ROUNDING * torch.finfo(model.dtype).eps)
    return bool((quick.float() - plain.float()).norm() <= within * plain.float().norm())
