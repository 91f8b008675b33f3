"""Gradient accumulation in place: a micro-batch's weight gradient is added to `weight.grad` where it is computed.

Plain autograd makes each micro-batch's gradient in new memory and then adds it, which takes a good part of a step of several
micro-batches: a small language model's embedding alone has a gradient of vocabulary times width, made, filled with zeros
and added for a few hundred of its rows. Here linear layers multiply straight into `weight.grad`, and embeddings add their
few rows to it. The gradients are the same up to rounding. Megatron-LM calls the first `gradient_accumulation_fusion`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


@contextmanager
def in_place(model: nn.Module) -> Iterator[None]:
    """Add weight gradients in place in backward passes through `model` inside the block.

    This covers plain `nn.Linear` and `nn.Embedding` modules whose weight is trained and has no hooks. Everything else goes
    through autograd as always, also other uses of the same (tied) weight. After the block the model is as before.
    """
    patched = [module for module in model.modules() if _can_accumulate(module)]
    for module in patched:
        module.forward = partial(_linear if type(module) is nn.Linear else _embedding, module)
    try:
        yield
    finally:
        for module in patched:
            del module.forward  # uncovers the method of the class


def _can_accumulate(module: nn.Module) -> bool:
    if "forward" in vars(module):  # another library, such as accelerate, has wrapped it
        return False
    if type(module) is nn.Embedding:
        # Rows are added in a fixed order on the CPU only: elsewhere a resumed run could differ.
        plain = not (module.sparse or module.scale_grad_by_freq) and module.max_norm is None
        return plain and module.weight.device.type == "cpu" and _is_plain(module.weight)
    return type(module) is nn.Linear and _is_plain(module.weight)


def _is_plain(weight: torch.Tensor) -> bool:
    hooks = weight._backward_hooks or weight._post_accumulate_grad_hooks  # noqa: SLF001 - torch has no public way to ask
    return type(weight) is nn.Parameter and weight.requires_grad and not hooks


def _linear(module: Any, x: torch.Tensor) -> torch.Tensor:
    if torch.is_autocast_enabled(x.device.type):
        return functional.linear(x, module.weight, module.bias)
    return _Linear.apply(x, module.weight, module.bias)  # type: ignore[no-any-return,no-untyped-call]  # torch does not type it


def _embedding(module: Any, ids: torch.Tensor) -> torch.Tensor:
    return _Embedding.apply(ids, module.weight, module.padding_idx)  # type: ignore[no-any-return,no-untyped-call]  # torch does not type it


class _Linear(torch.autograd.Function):
    """`x @ weight.T + bias`, whose backward adds to `weight.grad` and returns no gradient for the weight."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: nn.Parameter, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.weight = weight
        return functional.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, None, torch.Tensor | None]:
        (x,) = ctx.saved_tensors
        weight: nn.Parameter = ctx.weight
        rows = grad.reshape(-1, grad.shape[-1])
        inputs = x.reshape(-1, x.shape[-1])
        if weight.grad is None:
            weight.grad = rows.t() @ inputs
        else:
            weight.grad.addmm_(rows.t(), inputs)
        needs_x, _, needs_bias = ctx.needs_input_grad
        return grad @ weight.detach() if needs_x else None, None, rows.sum(0) if needs_bias else None


class _Embedding(torch.autograd.Function):
    """Rows of `weight`, whose backward adds to the same rows of `weight.grad`, except to the row of padding."""

    @staticmethod
    def forward(ctx: Any, ids: torch.Tensor, weight: nn.Parameter, padding: int | None) -> torch.Tensor:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding = weight, padding
        return functional.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, None, None]:
        ids = ctx.saved_tensors[0].reshape(-1)
        rows = grad.reshape(-1, grad.shape[-1])
        if ctx.padding is not None:
            rows, ids = rows[ids != ctx.padding], ids[ids != ctx.padding]
        if ctx.weight.grad is None:
            ctx.weight.grad = torch.zeros_like(ctx.weight)
        ctx.weight.grad.index_add_(0, ids, rows)
        return None, None, None
