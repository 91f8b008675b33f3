"""The objective as it is minimised: its gradient micro-batch by micro-batch, and its parts for the log.

    (sum of w * loss + kl_to_base * sum of w * KL) / (sum of w) + l2_to_base * distance

over the tokens of a whole optimizer step, with w = 1 for a completion's token and `prompt_loss_weight` for a prompt's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded
from tutelage.tokens.batch import Batch, FlatBatch
from tutelage.training.events import Parts
from tutelage.training.objective import loss_sum, predictions
from tutelage.training.reference_model import Base
from tutelage.training.settings import Objective


@dataclass(frozen=True, slots=True)
class Sums:
    """What a micro-batch adds to a step, in nats: `completion` and `prompt` are plain cross-entropies.

    `minimised` is what is differentiated, but for the distance of weights; `kl` is weighted by token.
    """

    minimised: float = 0.0
    completion: float = 0.0
    prompt: float = 0.0
    kl: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.minimised + other.minimised,
            self.completion + other.completion,
            self.prompt + other.prompt,
            self.kl + other.kl,
        )


class Minimised:
    """One tuning's objective.

    Args:
        model: as it is before the first step: what `kl_to_base` and `l2_to_base` hold it to.
        trained: its trained weights by name.
        objective: what is minimised.

    Raises:
        InputError: the model or its method cannot be trained with it.
    """

    def __init__(self, model: Any, trained: Mapping[str, nn.Parameter], objective: Objective) -> None:
        require_prompt_loss(model, objective.prompt_loss_weight)
        self.model = model
        self.objective = objective
        answers, distance = objective.kl_to_base > 0, objective.l2_to_base > 0
        self.base = Base(model, trained, answers=answers, distance=distance) if answers or distance else None

    @property
    def with_prompts(self) -> bool:
        """Whether batches must hold the prompts' tokens as targets."""
        return self.objective.prompt_loss_weight > 0

    def weight(self, rows: Sequence[Encoded]) -> float:
        """What a step's sums are divided by: its tokens, each with its weight."""
        completion = sum(row.n_loss for row in rows)
        if not self.with_prompts:
            return completion
        return completion + self.objective.prompt_loss_weight * sum(map(_prompt_tokens, rows))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Sums]:
        """A micro-batch's summed loss with its gradient, and what it is made of."""
        if self.objective == Objective(l2_to_base=self.objective.l2_to_base):
            loss = loss_sum(self.model, batch)
            value = loss.item()
            return loss, Sums(value, value)
        base = self.base.predictions(batch) if self.base and self.objective.kl_to_base else None
        logits, targets = predictions(self.model, batch)
        logs = functional.log_softmax(logits, dim=-1)
        each = -logs.gather(1, targets[:, None])[:, 0]
        with torch.no_grad():
            learned = _completion(batch, each)
            weights = torch.where(learned, 1.0, self.objective.prompt_loss_weight).to(each.dtype)
            plain = each.detach()
            sums = Sums(completion=plain[learned].sum().item(), prompt=plain[~learned].sum().item())
        if share := self.objective.label_smoothing:
            each = (1 - share) * each - share * logs.mean(dim=-1)
        loss = (weights * each).sum()
        if base is not None:
            divergence = (weights * _divergence(base, logs)).sum()
            loss = loss + self.objective.kl_to_base * divergence
            sums = replace(sums, kl=divergence.item())
        return loss, replace(sums, minimised=loss.item())

    def pull(self) -> float:
        """Add what the distance from the base's weights adds to the gradients, once a step; gives the distance."""
        if self.base is None or not self.objective.l2_to_base:
            return 0.0
        return self.base.pull(self.objective.l2_to_base)

    def parts(self, sums: Sums, rows: Sequence[Encoded], distance: float) -> Parts | None:
        """A step's parts for the log; None where completions are all that is learned."""
        objective = self.objective
        if objective == _PLAIN:
            return None
        weight = self.weight(rows)
        prompt = sum(map(_prompt_tokens, rows)) if self.with_prompts else 0
        return Parts(
            minimised=sums.minimised / weight + objective.l2_to_base * distance,
            prompt=sums.prompt / prompt if prompt else None,
            kl=sums.kl / weight if objective.kl_to_base else None,
            l2=distance if objective.l2_to_base else None,
        )


_PLAIN = Objective()


def require_prompt_loss(model: Any, weight: float) -> None:
    """Refuse a loss of prompts that the model's encoder reads: nothing predicts them.

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
    """A row's tokens that are predicted and are no completion: nothing predicts the first one."""
    return len(row.ids) - 1 - sum(row.loss_mask[1:])


def _completion(batch: Batch, each: torch.Tensor) -> torch.Tensor:
    """Which of a batch's targets are the completion's: bool (K,)."""
    if isinstance(batch, FlatBatch) and batch.completion is not None:
        return batch.completion
    return torch.ones_like(each, dtype=torch.bool)


def _divergence(base: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
    """KL(base || model) at each place, in nats: (K,). `base` are logits, `logs` the model's log-probabilities."""
    before = functional.log_softmax(base, dim=-1)
    found: torch.Tensor = torch.linalg.vecdot(before.exp(), before - logs)
    return found
