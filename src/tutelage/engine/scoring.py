"""Logits to log-probabilities, in one way wherever a choice is scored."""

from __future__ import annotations

import torch


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Torch's `log_softmax` over the last dimension, in float32, or in float64 where the model computes in it.

    In float32 its sum over a vocabulary is off by up to 1e-5 on some processors, always to one side. A better one would
    differ from all other programs' values by that much for every token of a choice.
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
