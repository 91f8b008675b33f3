"""The objective that a tuning minimises: the loss and gradient of each micro-batch, and the objective's parts for the log.

    (sum of w * v * loss + kl_to_base * sum of w * KL) / (sum of w) + l2_to_base * distance

over the tokens of a whole optimizer step, with w = 1 for a completion's token and `prompt_loss_weight` for a prompt's. v is 1, or
what `token_weights.py` says; it is not in the divisor, which depends on the step's rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded
from tutelage.tokens.batch import Batch, FlatBatch
from tutelage.training.completion_loss import loss_sum, predictions
from tutelage.training.events import LossParts
from tutelage.training.reference_model import ReferenceModel
from tutelage.training.settings import Objective
from tutelage.training.token_weights import token_weights


@dataclass(frozen=True, slots=True)
class LossSums:
    """What micro-batches add to a step's loss, in nats.

    Attributes:
        total: what is differentiated, without the distance from the base's weights.
        completion: cross-entropy of completion tokens.
        prompt: cross-entropy of prompt tokens, before its weight.
        kl: KL divergence, each token with its weight w.
        weight: w times v of all tokens.
    """

    total: float = 0.0
    completion: float = 0.0
    prompt: float = 0.0
    kl: float = 0.0
    weight: float = 0.0

    def __add__(self, other: LossSums) -> LossSums:
        return LossSums(
            self.total + other.total,
            self.completion + other.completion,
            self.prompt + other.prompt,
            self.kl + other.kl,
            self.weight + other.weight,
        )


class TrainingLoss:
    """The loss of one tuning, by its objective.

    Args:
        model: as it is before the first step: the reference of `kl_to_base`, `l2_to_base` and `stm`.
        trained: its trained weights by name.
        objective: the objective.

    Raises:
        InputError: the model or its method cannot be trained with this objective.
    """

    def __init__(self, model: Any, trained: Mapping[str, nn.Parameter], objective: Objective) -> None:
        require_prompt_loss(model, objective.prompt_loss_weight)
        self.model = model
        self.objective = objective
        self.reference = None
        if objective.asks_base or objective.l2_to_base:
            self.reference = ReferenceModel(model, trained, with_distance=objective.l2_to_base > 0)

    @property
    def with_prompts(self) -> bool:
        """Whether batches must have the prompts' tokens as targets."""
        return self.objective.prompt_loss_weight > 0

    def weight(self, rows: Sequence[Encoded]) -> float:
        """The sum of the weights of a step's tokens, by which its summed loss is divided."""
        completion = sum(row.n_loss for row in rows)
        return completion + self.objective.prompt_loss_weight * sum(map(_prompt_tokens, rows))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, LossSums]:
        """A micro-batch's summed loss, a scalar with a gradient, and its parts."""
        objective = self.objective
        if objective == Objective(l2_to_base=objective.l2_to_base):
            loss = loss_sum(self.model, batch)
            value = loss.item()
            return loss, LossSums(value, value)
        base_logits = self.reference.predictions(batch) if self.reference and objective.asks_base else None
        logits, targets = predictions(self.model, batch)
        log_probabilities = functional.log_softmax(logits, dim=-1)
        losses = -log_probabilities.gather(1, targets[:, None])[:, 0]
        with torch.no_grad():
            is_completion = _completion(batch, losses)
            weights = torch.where(is_completion, 1.0, objective.prompt_loss_weight).to(losses.dtype)
            weights_of_losses = weights * token_weights(objective, losses, targets, base_logits)
            plain = losses.detach()
            completion, prompt = plain[is_completion].sum().item(), plain[~is_completion].sum().item()
        if share := objective.label_smoothing:
            losses = (1 - share) * losses - share * log_probabilities.mean(dim=-1)
        loss = (weights_of_losses * losses).sum()
        kl = 0.0
        if base_logits is not None and objective.kl_weight:
            # KL(base || model) of each prediction, in nats.
            base = functional.log_softmax(base_logits, dim=-1)
            divergence = (weights * torch.linalg.vecdot(base.exp(), base - log_probabilities)).sum()
            loss = loss + objective.kl_weight * divergence
            kl = divergence.item()
        return loss, LossSums(loss.item(), completion, prompt, kl, weights_of_losses.sum().item())

    def add_distance(self) -> float:
        """Add the gradient of the distance from the base's weights, once a step. Returns the distance."""
        if self.reference is None or not self.objective.l2_to_base:
            return 0.0
        return self.reference.add_distance(self.objective.l2_to_base)

    def parts(self, sums: LossSums, rows: Sequence[Encoded], distance: float) -> LossParts | None:
        """A step's parts for the log; None where completions are all that is learned."""
        objective = self.objective
        if objective == Objective():
            return None
        weight = self.weight(rows)
        prompt_tokens = sum(map(_prompt_tokens, rows)) if self.with_prompts else 0
        return LossParts(
            total=sums.total / weight + objective.l2_to_base * distance,
            prompt=sums.prompt / prompt_tokens if prompt_tokens else None,
            kl=sums.kl / weight if objective.kl_weight else None,
            l2=distance if objective.l2_to_base else None,
            token_weight=None if objective.weighs_tokens_by("none") else sums.weight / weight,
        )


def require_prompt_loss(model: Any, weight: float) -> None:
    """Refuse a loss of prompts that an encoder reads, because nothing predicts their tokens.

    Raises:
        InputError: the model is an encoder-decoder and the weight is not 0.
    """
    if weight and model.config.is_encoder_decoder:
        raise InputError(
            f"the prompts of {model.config.model_type} models have no loss",
            where="tune.prompt_loss_weight",
            found=f"{weight}, and an encoder that reads the prompt: nothing predicts its tokens",
            expected="a decoder-only model",
            fix="set tune.prompt_loss_weight to 0",
        )


def _prompt_tokens(row: Encoded) -> int:
    """The number of a row's predicted tokens outside its completion; nothing predicts the first token."""
    return len(row.ids) - 1 - sum(row.loss_mask[1:])


def _completion(batch: Batch, losses: torch.Tensor) -> torch.Tensor:
    """Which of a batch's targets belong to completions: bool (K,)."""
    completion = batch.completion if isinstance(batch, FlatBatch) else None
    return torch.ones_like(losses, dtype=torch.bool) if completion is None else completion
