"""What the loop tells while it runs: the live line, the store and the report read these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parts:
    """What a step minimised, where that is more than its completions' loss; None for a part that is not asked for.

    `minimised` is the whole of it; `prompt` the mean loss of a prompt's token, `kl` the mean KL divergence between the
    base's predictions and the model's (both in nats a token, before their weights), `l2` the squared distance between
    the base's weights and the model's.
    """

    minimised: float
    prompt: float | None = None
    kl: float | None = None
    l2: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step done.

    `loss` is the mean over the step's completion tokens (nats a token); `norm` the gradient's norm before clipping;
    `packs` how many packs its rows lay in (0 without packing) and `fill` the share of the packs' room that they took:
    one number, for encoder-decoder models the source's and the target's. `tokens` what went through the model in this step, `seconds` how long it took, `memory` resident bytes.
    `parts` is there where more than completions is learned; `loss` is then still that of completions, without smoothing.
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
    parts: Parts | None = None


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


@dataclass(frozen=True, slots=True)
class SelfChecked:
    """Before the first step of this process, after `step` steps: `rows` rows in `batches` micro-batches, and one by one.

    `loss` and `gradient` are what they differ by, as shares of themselves (of rows that are known by heart less:
    `selfcheck.SURE`); `packed` when a micro-batch was a pack.
    """

    step: int
    rows: int
    batches: int
    packed: bool
    loss: float
    gradient: float


@dataclass(frozen=True, slots=True)
class BaseKept:
    """The base's weights are kept beside the model's, and take so many bytes."""

    size: int


Event = Step | Validation | Resumed | SelfChecked | BaseKept | Stopping
