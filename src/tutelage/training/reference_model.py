"""The reference model of `kl_to_base`, `l2_to_base` and `token_weights: stm`: the model as it was before the tuning.

With an adapter or a soft prompt it is the same model with that switched off, and nothing is copied. Where the model's own weights
are trained, these are copied before the first step, and frozen ones are shared. It must be made before a checkpoint's weights
are loaded, so that a resumed tuning has the same reference.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from tutelage.models import methods, soft_prompts
from tutelage.models.evaluation_mode import evaluation_mode
from tutelage.tokens.batch import Batch
from tutelage.training.completion_loss import predictions

Weights = Mapping[str, nn.Parameter]


class ReferenceModel:
    """The reference model of one tuning.

    Args:
        model: as it is before the first step.
        trained: its trained weights by name.
        with_distance: whether `add_distance` will be called.

    Raises:
        InputError: `with_distance`, and the method's distance from the base's weights is not defined.
    """

    def __init__(self, model: Any, trained: Weights, *, with_distance: bool) -> None:
        self._model = model
        self._trained = trained
        self._copy = None if _is_added(model, trained) else _frozen_copy(model)
        if with_distance and self._copy is None:
            method = methods.of_adapter(model.active_peft_config.to_dict())
            method.refuse("l2_to_base", where="tune.l2_to_base", fix="set it to 0, or take another method")

    @property
    def copied_bytes(self) -> int:
        """The memory of the copied weights."""
        copied = () if self._copy is None else self._trained.values()
        return sum(weight.numel() * weight.element_size() for weight in copied)

    def predictions(self, batch: Batch) -> torch.Tensor:
        """The base's logits (K, V) of a batch's predicted tokens, without dropout and without virtual tokens."""
        prompt = soft_prompts.soft_prompt(self._model)
        base = self._copy or (self._model if prompt is None else prompt.base)
        without_adapter = self._model.disable_adapter() if base is self._model else nullcontext()
        with evaluation_mode(base), without_adapter:
            logits, _ = predictions(base, batch)
        return logits

    def add_distance(self, weight: float) -> float:
        """Add the gradient of `weight` times the squared distance from the base's weights. Returns the squared distance."""
        if self._copy is None:
            distance = _low_rank_distance(self._model)
            (weight * distance).backward()  # type: ignore[no-untyped-call]  # torch does not type it
            return distance.item()
        start = dict(self._copy.named_parameters())
        squared = 0.0
        with torch.no_grad():
            for name, parameter in self._trained.items():
                change = parameter - start[name]
                wide = change if change.dtype == torch.float64 else change.float()
                squared += wide.square().sum().item()
                if parameter.grad is None:  # no row of this step reached the weight
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad.add_(change, alpha=2 * weight)
        return squared


def _is_added(model: Any, trained: Weights) -> bool:
    """Whether all trained weights are added to the model, in an adapter or a soft prompt, and none is its own."""
    return hasattr(model, "peft_config") and (
        soft_prompts.soft_prompt(model) is not None
        or all(model.base_model.prefix in name for name in trained)
    )


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
