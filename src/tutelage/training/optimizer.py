"""The optimizer of a training."""

from __future__ import annotations

import torch

from tutelage.training.settings import LoopSettings


def make_optimizer(trained: dict[str, torch.nn.Parameter], settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) as torch fuses it, with weight decay on matrices only."""
    matrices = [parameter for parameter in trained.values() if parameter.ndim >= 2]
    vectors = [parameter for parameter in trained.values() if parameter.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,
    )
