"""Logits of a model, and log-probabilities of them in one way wherever a choice is scored."""

from __future__ import annotations

from typing import Any

import torch


def forward_logits(model: Any, **inputs: Any) -> torch.Tensor:
    """Run a transformers model; its logits (B, T, V)."""
    logits: torch.Tensor = model(**inputs).logits
    return logits


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Torch's `log_softmax` over the last dimension, in float32, or in float64 if the model computes in it.

    In float32 its sum over a vocabulary is off by up to 1e-5 on some processors, always to one side. A better one would
    differ from all other programs' values by that much for every token of a choice.
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
