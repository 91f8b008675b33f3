"""The check before the first step: a few rows as they will be trained, against each row alone in plain transformers.

What tests show for tiny models need not hold for the model at hand, its attention, or the next version of a library.
A leak between rows, a lost position or a wrong target changes the loss by per cents; rounding changes it by millionths.
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
from tutelage.training.objective import TrainingLoss
from tutelage.training.settings import Objective

ROWS = 4

TOLERANCES = {
    torch.float64: (1e-4, 1e-3),
    torch.float32: (1e-4, 1e-3),
    torch.float16: (1e-2, 5e-2),
    torch.bfloat16: (5e-2, 2e-1),
}
"""Largest relative differences of loss and gradient, by the weights' type.

Sums over rows of another length are rounded differently. fp32 keeps 24 bits; float64 has the same tolerance because many
models compute norms and softmax in fp32 anyway. fp16 keeps 11 bits and bf16 8, so that a logit of 20 is rounded by up to
0.04, and a gradient that is summed row by row into a weight of that type is rounded for every row.
"""

LOSS_FLOOR = 0.1
"""Nats a token. A smaller loss counts as this one: rounding is a large share of the loss of rows that are learned by heart."""


def choose_rows(packs: Sequence[Sequence[Encoded]]) -> list[Encoded]:
    """The shortest rows with loss of the pack with most rows; without packing a step's rows are one pack."""
    fullest = max(packs, key=len)
    with_loss = (row for row in fullest if any(row.loss_mask[row.source is None :]))
    return sorted(with_loss, key=size)[:ROWS]


def check(
    training_loss: TrainingLoss,
    trained: Mapping[str, nn.Parameter],
    micro_batches: Sequence[Sequence[Encoded]],
    *,
    step: int,
    packed: bool,
    pad_id: int,
) -> SelfChecked | None:
    """Compare loss and gradient of rows in micro-batches with those of the same rows one by one, without dropout.

    Weights, gradients and the states of generators are unchanged afterwards. The base's part of the objective and the weights of
    single tokens are left out: they come from the same predictions. Gradients are compared as one long vector, of which one is held at a time.

    Args:
        training_loss: the tuning's loss.
        trained: the trained weights by name.
        micro_batches: rows with loss, as they will go through the model.
        step: steps done.
        packed: whether the rows of a micro-batch are a pack.
        pad_id: for encoder-decoder batches.

    Returns:
        The differences; None where the loss of single rows or the gradient is not finite, which the first step reports.

    Raises:
        InputError: they differ by more than rounding can explain.
    """
    model = training_loss.model
    objective = training_loss.objective.model_copy(
        update={"kl_to_base": 0.0, "l2_to_base": 0.0, "token_weights": "none"}
    )
    row_loss = TrainingLoss(model, trained, objective)
    rows = [row for batch in micro_batches for row in batch]
    weight = row_loss.weight(rows)
    device = next(iter(trained.values())).device
    with _undisturbed(model, trained, device):
        together = 0.0
        with gradients.in_place(model):
            for batch in micro_batches:
                tensors = collate(
                    batch, pad_id=pad_id, device=device, flat=packed, prompts=row_loss.with_prompts
                )
                loss, _ = row_loss.loss(tensors)
                together += _backward(loss / weight)
        gradient = _gradient_norm(trained)
        for parameter in trained.values():
            if parameter.grad is not None:
                parameter.grad.neg_()  # adding the gradients of single rows then leaves the difference
        alone = sum(_backward(_loss_alone(model, row, objective, device) / weight) for row in rows)
        difference = _gradient_norm(trained)
    if not math.isfinite(alone) or (math.isfinite(together) and not math.isfinite(gradient)):
        return None
    result = SelfChecked(
        step=step,
        rows=len(rows),
        batches=len(micro_batches),
        packed=packed,
        loss=_relative(together - alone, max(alone, LOSS_FLOOR)),
        gradient=_relative(difference, gradient) * min(1.0, alone / LOSS_FLOOR),
    )
    _require_agreement(result, rows, _least_precise(model))
    return result


@contextmanager
def _undisturbed(
    model: nn.Module, trained: Mapping[str, nn.Parameter], device: torch.device
) -> Iterator[None]:
    """In the block, gradients start empty and dropout is off; afterwards gradients, mode and generators are as before."""
    saved = {name: parameter.grad for name, parameter in trained.items()}
    training = model.training
    model.eval()
    for parameter in trained.values():
        parameter.grad = None
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for name, parameter in trained.items():
            parameter.grad = saved[name]
        model.train(training)


def _loss_alone(model: Any, row: Encoded, objective: Objective, device: torch.device) -> torch.Tensor:
    """A row's summed loss from the logits of transformers or peft, without our positions and masks."""
    ids = torch.tensor([row.ids], device=device)
    is_completion = torch.tensor(row.loss_mask, device=device)
    if row.source is None:
        first = 1 if objective.prompt_loss_weight else row.loss_mask.index(True, 1)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        logits = model(**inputs, logits_to_keep=len(row.ids) - first + 1).logits[0][:-1]
        targets, is_completion = ids[0, first:], is_completion[first:]
    else:
        source = torch.tensor([row.source], device=device)
        start = ids.new_full((1, 1), model.config.decoder_start_token_id)
        inputs = {"input_ids": source, "attention_mask": torch.ones_like(source)}
        logits = model(**inputs, decoder_input_ids=torch.cat([start, ids[:, :-1]], dim=1)).logits[0]
        targets = ids[0]
    wide = logits if logits.dtype == torch.float64 else logits.float()
    smoothing = objective.label_smoothing
    losses = functional.cross_entropy(wide, targets, reduction="none", label_smoothing=smoothing)
    return losses[is_completion].sum() + objective.prompt_loss_weight * losses[~is_completion].sum()


def _backward(loss: torch.Tensor) -> float:
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
    return loss.item()


def _gradient_norm(trained: Mapping[str, nn.Parameter]) -> float:
    """The norm of all gradients together, in at least fp32."""
    grads = [parameter.grad for parameter in trained.values() if parameter.grad is not None]
    norms = [grad.norm(dtype=torch.promote_types(grad.dtype, torch.float32)).double() for grad in grads]
    return torch.stack(norms).norm().item() if norms else 0.0


def _relative(difference: float, whole: float) -> float:
    if math.isfinite(difference) and math.isfinite(whole):
        return abs(difference) / abs(whole) if whole else float(difference != 0)
    return math.inf


def _least_precise(model: nn.Module) -> torch.dtype:
    """The least precise type of the model's weights; 4-bit weights are computed with in bf16."""
    if getattr(model, "is_loaded_in_4bit", False):
        return torch.bfloat16
    dtypes = {parameter.dtype for parameter in model.parameters()} & set(TOLERANCES)
    return max(dtypes, key=lambda dtype: TOLERANCES[dtype], default=torch.float32)


def _require_agreement(result: SelfChecked, rows: Sequence[Encoded], dtype: torch.dtype) -> None:
    loss, gradient = TOLERANCES[dtype]
    if result.loss <= loss and result.gradient <= gradient:
        return
    mend = "set tune.micro_batch_tokens to 1: each row goes alone"
    raise InputError(
        "rows that go through this model together do not come out as they do one by one",
        where=f"self-check before step {result.step + 1}",
        found=f"loss differs by {result.loss:.1e} of itself, the gradient by {result.gradient:.1e}, "
        f"over rows {', '.join(row.id for row in rows)}",
        expected=f"at most {loss:.0e} and {gradient:.0e} with weights in {str(dtype).removeprefix('torch.')}",
        fix=f"{'set tune.packing to false' if result.packed else mend}, and report the model's type to Tutelage's makers",
    )
