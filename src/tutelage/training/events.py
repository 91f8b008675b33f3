"""What the loop tells while it runs: the live line, the store and the report read these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step done.

    `loss` is the mean over the step's completion tokens (nats a token); `norm` the gradient's norm before clipping;
    `packs` how many packs its rows lay in (0 without packing) and `fill` the share of the packs' room that they took:
    one number, for encoder-decoder models the source's and the target's. `tokens` what went through the model in this step, `seconds` how long it took, `memory` resident bytes.
    """

    step: int
    steps: int
    loss: float
    rate: float
    norm: float
    rows: int
    tokens: int
    loss_tokens: int
    seconds: float
    memory: int
    packs: int = 0
    fill: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """The validation rows' loss (nats a completion token) after `step` steps; `best` when it is the lowest yet."""

    step: int
    loss: float
    best: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """The loop goes on from a checkpoint.

    `passed_over` names newer ones that were found damaged, and what is wrong with each; `machine` what of the machine
    was another when the checkpoint was written: versions, threads or the device may round otherwise.
    """

    step: int
    passed_over: tuple[str, ...]
    machine: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopping:
    """A stop was asked for; the checkpoint of `step` is written now."""

    step: int


Event = Step | Validation | Resumed | Stopping
