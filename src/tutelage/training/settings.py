"""Settings of a training: each is declared once, here, with type, limits, default, unit and meaning.

The recipe's `tune` has the same fields (`config.tune_block.Tune` inherits from these classes), and so have its JSON schema, its
reference in docs/recipe-reference.md and the identity of a tuning.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from tutelage.core.validation import Block, field_history
from tutelage.tokens.packing import Packing

LearningRate = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Decay = Annotated[float, Field(ge=0, lt=1)]
ASFT_KL = 0.1
"""`kl_to_base` of `token_weights: asft` where the recipe gives none: the weight of its authors' program."""


def unit(name: str) -> dict[str, Any]:
    """A field's unit, for the JSON schema and the reference of the recipe."""
    return {"unit": name}


class Objective(Block):
    """The loss that is minimised: that of completions, and what is added to it. docs/training.md has the formula."""

    prompt_loss_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of the loss of a prompt token, where that of a completion token is 1. Decoder-only models.",
        examples=[0.1],
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of each target's probability that is spread evenly over the whole vocabulary.",
        examples=[0.1],
    )
    kl_to_base: float = Field(
        0.0,
        ge=0,
        description="Weight of the KL divergence between the base model's predictions and the trained model's. With full, a "
        "second copy of the trained weights is held in memory.",
        examples=[0.5],
    )
    l2_to_base: float = Field(
        0.0,
        ge=0,
        description="lora, rslora, qlora, full: weight of the squared distance between the base model's weights and the trained "
        "ones. With full, a second copy of the trained weights is held in memory.",
        examples=[0.01],
    )
    token_weights: Literal["none", "dft", "asft", "stm"] = Field(
        "none",
        description="Weights of single tokens' losses against forgetting. dft: each token's probability under the model. asft: dft with "
        "kl_to_base, 0.1 by default. stm: 0 for tokens that the base holds unlikely (stm_perplexity), 1 for the others. asft and "
        "stm ask the base: with full, a second copy of the trained weights is held in memory.",
        examples=["dft"],
    )
    stm_perplexity: float = Field(
        2.5,
        gt=1,
        description="token_weights: stm: tokens of a higher perplexity under the base, the inverse of their probability, bear no loss.",
        examples=[4.0],
    )

    @property
    def kl_weight(self) -> float:
        """The weight of the KL divergence: `kl_to_base`, or that of `asft`."""
        return self.kl_to_base or (ASFT_KL if self.weighs_tokens_by("asft") else 0.0)

    @property
    def asks_base(self) -> bool:
        """Whether the loss reads the base's predictions."""
        return self.kl_weight > 0 or self.weighs_tokens_by("stm")

    def weighs_tokens_by(self, *ways: str) -> bool:
        """Whether `token_weights` is one of these."""
        return self.token_weights in ways

    @property
    def unread_terms(self) -> list[str]:
        """The fields that have no effect as they are set."""
        off = [name for name in Objective.model_fields if getattr(self, name) in (0, "none")]
        return off if self.weighs_tokens_by("stm") else [*off, "stm_perplexity"]

    def terms(self) -> dict[str, float | str]:
        """What is minimised, by name: the loss of completions and what is added to it, each with its weight."""
        unread = self.unread_terms
        fields = {name: getattr(self, name) for name in Objective.model_fields if name not in unread}
        return {
            "completion_loss": 1.0,
            **fields,
            **({"kl_to_base": self.kl_weight} if self.kl_weight else {}),
        }


class TrainingSettings(Block):
    """What the recipe and the training loop say in the same words."""

    batch_size: int = Field(
        8,
        ge=1,
        description="Rows per optimizer step; with packing, on average.",
        examples=[16],
        json_schema_extra=unit("rows"),
    )
    micro_batch_tokens: int = Field(
        1024,
        ge=1,
        description="Tokens that go through the model at once (gradient accumulation). It changes memory and speed, not the result.",
        examples=[4096],
        json_schema_extra=unit("tokens"),
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear",
        description="Learning rate after the warm-up: it falls to 0 linearly or as a cosine, or stays constant.",
        examples=["cosine"],
    )
    warmup: Fraction = Field(
        0.03,
        description="Share of the steps in which the learning rate rises linearly from 0.",
        examples=[0.1],
        json_schema_extra=unit("share of steps"),
    )
    weight_decay: float = Field(
        0.0, ge=0, le=1, description="AdamW's decoupled weight decay, on matrices only.", examples=[0.01]
    )
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999),
        description="AdamW's decay rates of the first and second moment.",
        examples=[[0.9, 0.95]],
    )
    max_grad_norm: float = Field(
        1.0,
        ge=0,
        description="Gradient clipping: the norm of the whole gradient is scaled down to this; 0 turns it off.",
        examples=[0.5],
    )
    checkpoint_every: int = Field(
        20, ge=1, description="Steps between checkpoints.", examples=[100], json_schema_extra=unit("steps")
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="Which weights the tuned model gets: those of the lowest validation loss, or of the last step.",
        examples=["last"],
    )
    activation_checkpointing: bool = Field(
        False,
        description="Recompute activations in the backward pass: less memory, more time.",
        examples=[True],
    )
    seed: Seed = Field(0, description="Seed of row order, new weights and dropout.", examples=[1])


class LoopSettings(TrainingSettings):
    """Settings of one training loop: everything counted in steps.

    Attributes:
        steps: optimizer steps in all.
        learning_rate: the highest learning rate.
        validate_every: steps between validations; the last step is always followed by one.
        packing: how rows are packed across steps; None keeps each step's rows apart.
        objective: the loss.
    """

    steps: int = Field(ge=1)
    learning_rate: LearningRate
    validate_every: int = Field(ge=1)
    packing: Packing | None = None
    objective: Objective = Objective()

    def validates_after(self, step: int) -> bool:
        """Whether the validation loss is measured when `step` steps are done, where there are validation rows."""
        return step == self.steps or (step > 0 and step % self.validate_every == 0)

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of optimizer step `step` (0-based): linear warm-up, then the schedule.

        The first step has a rate above zero, and so has the last.
        """
        warm = math.ceil(self.warmup * self.steps)
        if step < warm:
            return self.learning_rate * (step + 1) / (warm + 1)
        progress = (step - warm) / max(1, self.steps - warm)
        factors = {
            "constant": 1.0,
            "linear": 1.0 - progress,
            "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
        }
        return self.learning_rate * factors[self.schedule]

    def identity(self) -> dict[str, Any]:
        """What the finished weights depend on, as JSON values that are hashed into the identity of a tuning.

        A field that was added later than `core/validation/field_history.yaml` is part of it only when it is not at its default,
        so that finished tunings are recognised. `checkpoint_every` has no effect on the weights.
        """
        values = self.model_dump(exclude={"checkpoint_every", "objective"})
        identity = field_history.identity(self, values)
        if self.objective != Objective():
            parts = self.objective.model_dump()
            identity["objective"] = field_history.identity(self.objective, parts, history="LoopObjective")
        return identity
