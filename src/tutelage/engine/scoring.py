"""Logits of a model, and log-probabilities of them in one way wherever a choice is scored."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch


class ChoiceScore(NamedTuple):
    """How likely a choice is behind its prompt.

    Attributes:
        log_probability: summed over the choice's tokens, in nats.
        greedy: whether each of its tokens is the likeliest one where it stands, so that greedy generation would begin with it.
    """

    log_probability: float
    greedy: bool


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
