"""Weights of single tokens' losses against forgetting: tokens that the model, or its base, holds unlikely teach less or nothing.

Where a row says what a model finds unlikely, learning it moves the weights most, and most is forgotten.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from tutelage.training.settings import Objective


def token_weights(
    objective: Objective, losses: torch.Tensor, targets: torch.Tensor, base_logits: torch.Tensor | None
) -> torch.Tensor:
    """The weight of each predicted token's loss, without a gradient: (K,).

    Args:
        objective: the objective.
        losses: cross-entropy of the tokens under the model as it is, without label smoothing (K,).
        targets: the tokens (K,).
        base_logits: the base's predictions (K, V); `stm` alone reads them.
    """
    losses = losses.detach()
    if objective.weighs_tokens_by("none"):
        return torch.ones_like(losses)
    if objective.weighs_tokens_by("dft", "asft"):
        return torch.exp(-losses)
    if base_logits is None:
        raise ValueError("stm reads the base's predictions")
    base_losses = functional.cross_entropy(base_logits, targets, reduction="none")
    return (base_losses <= math.log(objective.stm_perplexity)).to(losses.dtype)
