"""How to tune: what the recipe's `tune` says, as the training package takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tutelage.tokens.packing import Packing


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised: the loss of completions, and what is added to it. docs/training.md has the formula.

    Attributes:
        prompt_loss_weight: what the loss of a prompt's token weighs, where a completion's weighs 1.
        label_smoothing: the share of each target that is spread over the whole vocabulary.
        kl_to_base: weight of the KL divergence between the base's predictions and the model's.
        l2_to_base: weight of the squared distance between the base's weights and the model's.
    """

    prompt_loss_weight: float = 0.0
    label_smoothing: float = 0.0
    kl_to_base: float = 0.0
    l2_to_base: float = 0.0


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """Settings of one tuning.

    Attributes:
        steps: optimizer steps in all.
        batch_size: rows an optimizer step; with packing on the average.
        micro_batch_tokens: tokens that go through the model at once; changes memory and speed, not the result.
        learning_rate: the highest rate.
        schedule: how the rate falls after the warm-up, to zero for `linear` and `cosine`.
        warmup: share of the steps in which the rate rises linearly from zero.
        weight_decay: AdamW's decoupled decay, on matrices only.
        betas: AdamW's decay rates of the moments.
        clip: the gradient's norm is cut to this; 0 for never.
        validate_every: steps between validations; the last step is always followed by one.
        checkpoint_every: steps between checkpoints.
        keep: weights of the best validation loss, or of the last step.
        packing: how rows are packed over the bounds of steps; None where each step's rows stay its own.
        activation_checkpointing: recompute activations in the backward pass: less memory, more time.
        objective: what is minimised.
        seed: of order and dropout.
    """

    steps: int
    batch_size: int = 8
    micro_batch_tokens: int = 512
    learning_rate: float = 5e-4
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = 0.03
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    validate_every: int = 50
    checkpoint_every: int = 20
    keep: Literal["best", "last"] = "best"
    packing: Packing | None = None
    activation_checkpointing: bool = False
    objective: Objective = Objective()
    seed: int = 0
