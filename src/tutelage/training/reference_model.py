"""The model as it was before the tuning: what `kl_to_base` and `l2_to_base` hold the model to.

With an adapter or a prompt it is the same model with that switched off, and nothing is kept. Where the model's own
weights are trained, the trained ones are copied before the first step; frozen ones are shared. It must be made before
a checkpoint's weights are put in, so that a resumed tuning is held to the same base.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from tutelage.models import methods, soft_prompts
from tutelage.tokens.batch import Batch
from tutelage.training.completion_loss import predictions

Weights = Mapping[str, nn.Parameter]


class ReferenceModel:
    """The base of one tuning.

    Args:
        model: as it is before the first step.
        trained: its trained weights by name.
        answers: whether `predictions` will be asked for.
        distance: whether `pull` will be asked for.

    Raises:
        InputError: `distance`, and the method's distance from the base's weights is not defined.
    """

    def __init__(self, model: Any, trained: Weights, *, answers: bool, distance: bool) -> None:
        self._model = model
        self._trained = trained
        self._outside = _trained_outside(model, trained)
        self._copy = _frozen_copy(model) if answers and not self._outside else None
        self._start: dict[str, torch.Tensor] = {}
        if distance and self._outside:
            config = model.active_peft_config.to_dict()
            method = methods.of_adapter(config)
            method.refuse("l2_to_base", where="tune.l2_to_base", fix="set it to 0, or take another method")
        elif distance:
            kept = dict(trained if self._copy is None else self._copy.named_parameters())
            self._start = {n: kept[n].detach() if self._copy else kept[n].detach().clone() for n in trained}

    @property
    def kept_bytes(self) -> int:
        """The memory that the base takes beside the model."""
        kept = self._trained.values() if self._copy is not None or self._start else ()
        return sum(weight.numel() * weight.element_size() for weight in kept)

    @torch.no_grad()
    def predictions(self, batch: Batch) -> torch.Tensor:
        """What the base says at the batch's places that are to be predicted: logits (K, V), without dropout.

        The rows of a prompt's base have no virtual tokens before them.
        """
        prompt = soft_prompts.soft_prompt(self._model)
        requested = self._copy or (self._model if prompt is None else prompt.base)
        off = self._model.disable_adapter() if self._outside and prompt is None else nullcontext()
        training = requested.training
        requested.eval()
        with off:
            logits, _ = predictions(requested, batch)
        requested.train(training)
        return logits

    def pull(self, weight: float) -> float:
        """Add the gradient of `weight` times the squared distance to the weights' gradients; gives the distance."""
        if self._outside:
            distance = _low_rank_distance(self._model)
            (weight * distance).backward()  # type: ignore[no-untyped-call]  # torch does not type it
            return distance.item()
        squared = 0.0
        with torch.no_grad():
            for name, parameter in self._trained.items():
                moved = parameter - self._start[name]
                wide = moved if moved.dtype == torch.float64 else moved.float()
                squared += wide.square().sum().item()
                if parameter.grad is None:  # no row of this step reached it; the base pulls all the same
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad.add_(moved, alpha=2 * weight)
        return squared


def _trained_outside(model: Any, trained: Weights) -> bool:
    """Whether all that is trained stands outside the model's own weights, in an adapter or a prompt."""
    if not hasattr(model, "peft_config"):
        return False
    if soft_prompts.soft_prompt(model) is not None:
        return True
    return all(model.base_model.prefix in name for name in trained)


def _frozen_copy(model: Any) -> Any:
    """A second model that shares the frozen weights with the first."""
    shared = {id(weight): weight for weight in model.parameters() if not weight.requires_grad}
    return copy.deepcopy(model, shared).requires_grad_(requires_grad=False).eval()


def _low_rank_distance(model: Any) -> torch.Tensor:
    """The squared Frobenius norm of all that LoRA adds to the weights.

    |s B A|^2 is s^2 times the sum of (B^T B) * (A A^T): products of rank times rank, not of the weights' size.
    """
    return torch.stack([scale**2 * ((b.T @ b) * (a @ a.T)).sum() for scale, a, b in _low_rank(model)]).sum()


def _low_rank(model: Any) -> Iterator[tuple[float, torch.Tensor, torch.Tensor]]:
    """Scale, A (rank, inputs) and B (outputs, rank) of every layer with LoRA, in at least fp32."""
    for module in model.modules():
        for name in getattr(module, "lora_A", {}):
            a, b = module.lora_A[name].weight, module.lora_B[name].weight
            wide = torch.promote_types(a.dtype, torch.float32)
            yield float(module.scaling[name]), a.to(wide), b.to(wide)
