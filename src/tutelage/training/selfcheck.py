"""Before the first step of a training: a few rows as they will be trained, against each alone in plain transformers.

What a test shows of tiny models need not hold for the model at hand, its attention, or the next version of a library.
A leak between rows, a lost position or a wrong target moves the loss by per cents; rounding moves it by millionths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded
from tutelage.tokens.batch import collate, size
from tutelage.training import gradients
from tutelage.training.events import SelfChecked
from tutelage.training.objective_gradient import Minimised
from tutelage.training.settings import Objective

ROWS = 4

TOLERANCES = {
    torch.float64: (1e-4, 1e-3),
    torch.float32: (1e-4, 1e-3),
    torch.float16: (1e-2, 5e-2),
    torch.bfloat16: (5e-2, 2e-1),
}
"""What loss and gradient may differ by, as shares of themselves.

Sums over rows of another length are rounded otherwise: fp32 keeps 24 bits, float64 is held to the same because norms
and softmax of many models are computed in fp32 anyway; fp16 keeps 11 bits and bf16 8, so that a logit of 20 is rounded
by up to 0.04 there, and a gradient, summed row by row into a weight of that type, is rounded for every row.
"""

SURE = 0.1
"""Nats a token, from which on shares are taken of a loss of this size: of rows that are known by heart almost nothing is
left to learn, and rounding is a large part of almost nothing."""


def chosen(packs: Sequence[Sequence[Encoded]]) -> list[Encoded]:
    """The shortest rows with loss of the pack that has most rows; without packing a step's rows are one pack."""
    fullest = max(packs, key=len)
    return sorted((row for row in fullest if any(row.loss_mask[row.source is None :])), key=size)[:ROWS]


def check(
    minimised: Minimised,
    trained: Mapping[str, nn.Parameter],
    micro: Sequence[Sequence[Encoded]],
    *,
    step: int,
    packed: bool,
    pad_id: int,
) -> SelfChecked | None:
    """Compare loss and gradient of rows in micro-batches with those of the rows alone; dropout is off.

    Weights, gradients and the generators' states are as before. The base's part in the objective is left out: the
    KL divergence is taken of the same predictions. Gradients are compared as one long vector; only one of them is held.

    Args:
        minimised: the tuning's objective.
        trained: the trained weights by name.
        micro: rows with loss, as they will go through the model.
        step: steps done.
        packed: whether the rows of a micro-batch are a pack.
        pad_id: for encoder-decoder batches.

    Returns:
        What was found; None where the loss of single rows or the gradient is not finite, which the first step will tell.

    Raises:
        InputError: they differ by more than rounding can explain.
    """
    model = minimised.model
    plain = minimised.objective.model_copy(update={"kl_to_base": 0.0, "l2_to_base": 0.0})
    form = Minimised(model, trained, plain)
    rows = [row for batch in micro for row in batch]
    weight = form.weight(rows)
    device = next(iter(trained.values())).device
    with _undisturbed(model, trained, device):
        together = 0.0
        with gradients.in_place(model):
            for batch in micro:
                tensors = collate(batch, pad_id=pad_id, device=device, flat=packed, prompts=form.with_prompts)
                loss, _ = form.loss(tensors)
                together += _backward(loss / weight)
        moved = _norm(trained)
        for parameter in trained.values():
            if parameter.grad is not None:
                parameter.grad.neg_()  # what the rows alone add then leaves the difference
        alone = sum(_backward(_alone(model, row, plain, device) / weight) for row in rows)
        apart = _norm(trained)
    if not math.isfinite(alone) or (math.isfinite(together) and not math.isfinite(moved)):
        return None
    found = SelfChecked(
        step=step,
        rows=len(rows),
        batches=len(micro),
        packed=packed,
        loss=_share(together - alone, max(alone, SURE)),
        gradient=_share(apart, moved) * min(1.0, alone / SURE),
    )
    _judge(found, rows, _loosest(model))
    return found


@contextmanager
def _undisturbed(
    model: nn.Module, trained: Mapping[str, nn.Parameter], device: torch.device
) -> Iterator[None]:
    """The block's gradients start from nothing and leave nothing; mode and generators are put back."""
    before = {name: parameter.grad for name, parameter in trained.items()}
    training = model.training
    model.eval()
    for parameter in trained.values():
        parameter.grad = None
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for name, parameter in trained.items():
            parameter.grad = before[name]
        model.train(training)


def _alone(model: Any, row: Encoded, objective: Objective, device: torch.device) -> torch.Tensor:
    """A row's summed loss as transformers or peft compute its logits, without positions or masks of ours."""
    ids = torch.tensor([row.ids], device=device)
    bears = torch.tensor(row.loss_mask, device=device)
    if row.source is None:
        first = 1 if objective.prompt_loss_weight else row.loss_mask.index(True, 1)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        logits = model(**given, logits_to_keep=len(row.ids) - first + 1).logits[0][:-1]
        targets, bears = ids[0, first:], bears[first:]
    else:
        source = torch.tensor([row.source], device=device)
        start = ids.new_full((1, 1), model.config.decoder_start_token_id)
        given = {"input_ids": source, "attention_mask": torch.ones_like(source)}
        logits = model(**given, decoder_input_ids=torch.cat([start, ids[:, :-1]], dim=1)).logits[0]
        targets = ids[0]
    wide = logits if logits.dtype == torch.float64 else logits.float()
    smoothing = objective.label_smoothing
    each = functional.cross_entropy(wide, targets, reduction="none", label_smoothing=smoothing)
    return each[bears].sum() + objective.prompt_loss_weight * each[~bears].sum()


def _backward(loss: torch.Tensor) -> float:
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
    return loss.item()


def _norm(trained: Mapping[str, nn.Parameter]) -> float:
    """The norm of all gradients together."""
    found = [parameter.grad for parameter in trained.values() if parameter.grad is not None]
    wide = [gradient.norm(dtype=torch.promote_types(gradient.dtype, torch.float32)) for gradient in found]
    return torch.stack([norm.double() for norm in wide]).norm().item() if wide else 0.0


def _share(difference: float, whole: float) -> float:
    if math.isfinite(difference) and math.isfinite(whole):
        return abs(difference) / abs(whole) if whole else float(difference != 0)
    return math.inf


def _loosest(model: nn.Module) -> torch.dtype:
    """The type of the model's weights that keeps least; weights in 4 bits are computed with in bf16."""
    if getattr(model, "is_loaded_in_4bit", False):
        return torch.bfloat16
    found = {parameter.dtype for parameter in model.parameters()} & set(TOLERANCES)
    return max(found, key=lambda dtype: TOLERANCES[dtype], default=torch.float32)


def _judge(found: SelfChecked, rows: Sequence[Encoded], dtype: torch.dtype) -> None:
    loss, gradient = TOLERANCES[dtype]
    if found.loss <= loss and found.gradient <= gradient:
        return
    mend = (
        "set tune.packing to false"
        if found.packed
        else "set tune.micro_batch_tokens to 1: each row goes alone"
    )
    raise InputError(
        "rows that go through this model together do not come out as they do one by one",
        where=f"self-check before step {found.step + 1}",
        found=f"loss differs by {found.loss:.1e} of itself, the gradient by {found.gradient:.1e}, "
        f"over rows {', '.join(row.id for row in rows)}",
        expected=f"at most {loss:.0e} and {gradient:.0e} with weights in {str(dtype).removeprefix('torch.')}",
        fix=f"{mend}, and tell the model's type to Tutelage's makers",
    )
