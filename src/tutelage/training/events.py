"""Events of the training loop, for the live line, the training log and the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LossParts:
    """The parts of a step's objective, where it is more than the loss of completions.

    Attributes:
        total: the objective.
        prompt: mean loss of a prompt token, in nats, before its weight; None without a prompt loss.
        kl: mean KL divergence between the base's predictions and the model's, in nats a token, before its weight; None
            without it.
        l2: squared distance between the base's weights and the model's; None without it.
        token_weight: mean weight of a token's loss by `token_weights`, with `stm` the share of tokens that bear loss; None
            without it.
    """

    total: float
    prompt: float | None = None
    kl: float | None = None
    l2: float | None = None
    token_weight: float | None = None


@dataclass(frozen=True, slots=True)
class StepDone:
    """An optimizer step is done.

    Attributes:
        step: its number, from 1.
        steps: steps in all.
        loss: mean over the step's completion tokens, in nats, without label smoothing.
        learning_rate: of this step.
        grad_norm: the gradient's norm before clipping.
        rows: rows of the step.
        tokens: tokens that went through the model.
        loss_tokens: completion tokens.
        seconds: how long the step took.
        memory: resident bytes of the process.
        packs: packs that the rows were in; 0 without packing.
        fill: share of the packs' room that rows took: one number, for encoder-decoder models the source's and the target's.
        parts: the objective's parts, where more than completions is learned.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    grad_norm: float
    rows: int
    tokens: int
    loss_tokens: int
    seconds: float
    memory: int
    packs: int = 0
    fill: tuple[float, ...] = ()
    parts: LossParts | None = None


@dataclass(frozen=True, slots=True)
class ValidationDone:
    """The validation loss (nats a completion token) after `step` steps; `best` when it is the lowest so far."""

    step: int
    loss: float
    best: bool


@dataclass(frozen=True, slots=True)
class StartValidated:
    """The validation loss (nats a completion token) before the first step, which is that of the model that is tuned."""

    loss: float
    step: int = 0


@dataclass(frozen=True, slots=True)
class Resumed:
    """The loop resumes from a checkpoint.

    Attributes:
        step: steps done.
        damaged: newer checkpoints that cannot be used, each with the reason.
        machine: differences from the machine that wrote the checkpoint: versions, threads or the device, which may change
            how sums are rounded.
    """

    step: int
    damaged: tuple[str, ...]
    machine: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopping:
    """A stop was requested; the checkpoint of `step` is being written."""

    step: int


@dataclass(frozen=True, slots=True)
class SelfChecked:
    """Rows in micro-batches gave the same loss and gradient as one by one, before the first step of this process.

    Attributes:
        step: steps done.
        rows: rows that were compared.
        batches: micro-batches that they were in.
        packed: whether a micro-batch was a pack.
        loss: relative difference of the losses.
        gradient: relative difference of the gradients; less for rows with hardly any loss (`selfcheck.LOSS_FLOOR`).
    """

    step: int
    rows: int
    batches: int
    packed: bool
    loss: float
    gradient: float


@dataclass(frozen=True, slots=True)
class ReferenceCopied:
    """The base's trained weights were copied for comparison, and take `size` bytes."""

    size: int


Event = StepDone | StartValidated | ValidationDone | Resumed | SelfChecked | ReferenceCopied | Stopping
