"""The training loop.

An optimizer step takes its rows by the order function and cuts them into micro-batches, or packs them. Each micro-batch adds
the gradient of its summed loss, divided by the step's number of completion tokens (`objective.py` has what a recipe may
add to the loss); then the gradient is clipped and AdamW updates the weights. To resume, the loop needs only the step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from tutelage.core import files, seeds
from tutelage.core.errors import InputError, MachineError
from tutelage.core.types import Encoded
from tutelage.core.version import __version__
from tutelage.tokens.batch import collate, micro_batches
from tutelage.tokens.packing import Packs, packed_micro_batches
from tutelage.training import checkpoint, errors, gradients, machine, selfcheck
from tutelage.training.checkpoint import Position
from tutelage.training.completion_loss import isolates_rows, loss_sum, require_packable
from tutelage.training.events import (
    Event,
    ReferenceCopied,
    Resumed,
    StartValidated,
    StepDone,
    Stopping,
    ValidationDone,
)
from tutelage.training.objective import LossSums, TrainingLoss
from tutelage.training.optimizer import make_optimizer
from tutelage.training.settings import LoopSettings
from tutelage.training.stopping import Stopper

RowAt = Callable[[int], Encoded]
OnEvent = Callable[[Event], None]
AfterStep = Callable[[int, Callable[[], bool]], None]
"""Takes the number of steps done, and a function that says whether a stop is requested. It may use the model, and draw random numbers."""


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The result of a tuning.

    Attributes:
        step: the step whose weights the model has now.
        best_loss: the lowest validation loss; None without validation.
        weights: whose weights these are: `best` by validation loss, or `last`.
    """

    step: int
    best_loss: float | None
    weights: Literal["best", "last"]


@dataclass(frozen=True, slots=True)
class StepRows:
    """An optimizer step's rows, and the same in micro-batches; with packing the number of packs and how full they are."""

    rows: list[Encoded]
    micro_batches: list[list[Encoded]]
    packs: int = 0
    fill: tuple[float, ...] = ()


class Loop:
    """Trains a model.

    Args:
        model: a transformers or peft model; what requires a gradient is trained.
        pad_id: for encoder-decoder batches.
        row_at: gives the row at a position (0-based, in rows over all epochs): a pure function.
        validation: held-out rows for the validation loss; may be empty.
        settings: how to train.
        folder: of the checkpoints.
        needs: what the weights depend on beside the settings, by name and as JSON: model, method, rows, order.
        on_event: receives each event.
        after_step: called after each step and its checkpoint; first at the step from which it resumes, whose call may have been stopped.

    Raises:
        InputError: nothing of the model is to be trained, no validation row has a token with loss, or the model cannot be
            trained with these settings.
    """

    def __init__(
        self,
        model: Any,
        *,
        pad_id: int,
        row_at: RowAt,
        validation: Sequence[Encoded],
        settings: LoopSettings,
        folder: Path,
        needs: Mapping[str, Any],
        on_event: OnEvent,
        after_step: AfterStep = lambda *_: None,
    ) -> None:
        self.model = model
        self.pad_id = pad_id
        self.row_at = row_at
        self.validation = validation
        self.settings = settings
        self.folder = folder
        self.on_event = on_event
        self.after_step = after_step
        self.trained = {
            name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
        }
        if not self.trained:
            raise InputError(
                "nothing of the model is to be trained", where="tune", found="no trainable weight"
            )
        if validation and not any(row.n_loss for row in validation):
            raise errors.no_loss("validation", validation)
        self.device = next(iter(self.trained.values())).device
        # A checkpoint also depends on the program's version, unlike the identity of a finished tuning.
        all_needs = {"tutelage": __version__, "tune": settings.identity(), **needs}
        self.identity = checkpoint.TuningIdentity(all_needs, machine.description(self.device))
        self.stopper = Stopper()
        # Rows that the model cannot tell apart go one by one: a micro-batch of 0 tokens has one row.
        self.micro_batch_tokens = settings.micro_batch_tokens if isolates_rows(model, self.device) else 0
        self.packs: Packs | None = None
        if settings.packing is not None:
            require_packable(model, self.device)
            self.packs = Packs(row_at, settings.packing, batch_size=settings.batch_size, steps=settings.steps)
        self.training_loss = TrainingLoss(model, self.trained, settings.objective)
        self.optimizer = make_optimizer(self.trained, settings)

    def tune(self) -> TuningResult:
        """Train from the newest checkpoint, or from the start, to the last step; the model then has the selected weights."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files.sweep_parts(self.folder)
        with self.stopper:
            position = self._resume()
            if self.settings.activation_checkpointing:
                _recompute_activations(self.model)
            if position.step < self.settings.steps:
                self._begin(position.step)
            return self._finish(self._train(position))

    def _train(self, position: Position) -> Position:
        """Do all remaining steps, with validations and checkpoints. A requested stop writes a checkpoint first."""
        saved = position.step
        if saved == 0 and self.validation:
            self._validate_start()
        self.after_step(saved, self._stops)
        while position.step < self.settings.steps and self._step(position.step):
            position = replace(position, step=position.step + 1)
            last = position.step == self.settings.steps
            if self.validation and self.settings.validates_after(position.step):
                position = self._validate(position)
            if last or position.step % self.settings.checkpoint_every == 0:
                self._save(position)
                saved = position.step
            self.after_step(position.step, self._stops)
        if self.stopper.requested:
            self.on_event(Stopping(position.step))
            if saved != position.step:
                self._save(position)
            raise self.stopper.stopped(
                f"stopped after step {position.step} of {self.settings.steps}, whose checkpoint is written"
                if position.step
                else "stopped before the first step was done"
            )
        return position

    def _begin(self, step: int) -> None:
        """Report the memory of the reference model, and check that rows give the same result together as alone."""
        reference = self.training_loss.reference
        if reference is not None and reference.copied_bytes:
            self.on_event(ReferenceCopied(reference.copied_bytes))
        packed = self.packs is not None
        rows = selfcheck.choose_rows(self.packs.of_step(step) if self.packs else [self._rows(step).rows])
        if not rows:
            return  # no row has loss, which the step reports
        batches = [rows] if packed else micro_batches(rows, tokens=self.micro_batch_tokens)
        if result := selfcheck.check(
            self.training_loss, self.trained, batches, step=step, packed=packed, pad_id=self.pad_id
        ):
            self.on_event(result)

    def _rows(self, step: int) -> StepRows:
        """A step's rows: those at its positions, or those of its packs."""
        size, tokens = self.settings.batch_size, self.micro_batch_tokens
        if self.packs is None:
            rows = [self.row_at(step * size + i) for i in range(size)]
            return StepRows(rows, micro_batches(rows, tokens=tokens))
        packs = self.packs.of_step(step)
        rows = [row for pack in packs for row in pack]
        return StepRows(rows, packed_micro_batches(packs, tokens=tokens), len(packs), self.packs.fill(packs))

    def _step(self, step: int) -> bool:
        """Do one optimizer step. Returns False, with nothing changed, when a stop is requested before it is done."""
        started = time.perf_counter()
        settings = self.settings
        batch = self._rows(step)
        rows = batch.rows
        loss_tokens = sum(row.n_loss for row in rows)
        if not loss_tokens:
            raise errors.no_loss(f"step {step + 1}", rows)
        self.model.train()
        torch.manual_seed(seeds.derive(settings.seed, "dropout", step))
        sums = self._add_gradients(step, batch)
        if sums is None:
            self.optimizer.zero_grad(set_to_none=True)
            return False
        distance = self.training_loss.add_distance()
        parts = self.training_loss.parts(sums, rows, distance)
        total = sums.total if parts is None else parts.total
        max_norm = settings.max_grad_norm or math.inf
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self.trained.values(), max_norm))
        if not math.isfinite(total) or not math.isfinite(grad_norm):
            self.optimizer.zero_grad(set_to_none=True)
            raise errors.not_finite(f"step {step + 1}", f"loss {total}, gradient norm {grad_norm}", rows)
        learning_rate = settings.learning_rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.on_event(
            StepDone(
                step=step + 1,
                steps=settings.steps,
                loss=sums.completion / loss_tokens,
                learning_rate=learning_rate,
                grad_norm=grad_norm,
                rows=len(rows),
                tokens=sum(len(row.ids) + len(row.source or ()) for row in rows),
                loss_tokens=loss_tokens,
                seconds=time.perf_counter() - started,
                memory=machine.resident_bytes(),
                packs=batch.packs,
                fill=batch.fill,
                parts=parts,
            )
        )
        return True

    def _add_gradients(self, step: int, batch: StepRows) -> LossSums | None:
        """Accumulate the gradients of a step's micro-batches. Returns None when a stop is requested."""
        training_loss = self.training_loss
        weight = training_loss.weight(batch.rows)
        sums = LossSums()
        with gradients.in_place(self.model):
            for rows in batch.micro_batches:
                if self.stopper.requested:
                    return None
                tensors = collate(
                    rows,
                    pad_id=self.pad_id,
                    device=self.device,
                    flat=bool(batch.packs),
                    prompts=training_loss.with_prompts,
                )
                loss, parts = training_loss.loss(tensors)
                (loss / weight).backward()  # type: ignore[no-untyped-call]  # torch does not type it
                sums += parts
                if not math.isfinite(sums.total):
                    self.optimizer.zero_grad(set_to_none=True)
                    raise errors.not_finite(f"step {step + 1}", f"loss {sums.total}", rows)
        return sums

    def _stops(self) -> bool:
        return self.stopper.requested

    def _validation_loss(self, rows: Sequence[Encoded]) -> float:
        return validation_loss(
            self.model, rows, tokens=self.micro_batch_tokens, pad_id=self.pad_id, device=self.device
        )

    def _validate_start(self) -> None:
        """Report the loss before the first step. Its weights are the base's, which are never those that are selected."""
        loss = self._validation_loss(self.validation)
        if math.isfinite(loss):  # else the first step or validation says which rows
            self.on_event(StartValidated(loss))

    def _validate(self, position: Position) -> Position:
        loss = self._validation_loss(self.validation)
        if not math.isfinite(loss):
            rows = [
                row
                for row in self.validation
                if row.n_loss and not math.isfinite(self._validation_loss([row]))
            ]
            raise errors.not_finite(f"validation after step {position.step}", f"loss {loss}", rows)
        is_best = position.best_loss is None or loss < position.best_loss
        if is_best:
            position = replace(position, best_loss=loss, best_step=position.step)
            if self.settings.keep == "best" and position.step < self.settings.steps:
                weights = self._weights()
                errors.require_finite(weights, position.step)
                checkpoint.save(self.folder, "best", weights, position, self.identity)
        self.on_event(ValidationDone(position.step, loss, is_best))
        return position

    def _save(self, position: Position) -> None:
        state = self._weights()
        for name, parameter in self.trained.items():
            # A weight that no row has reached yet, such as an expert or an unused head, has no moments.
            for key, moment in self.optimizer.state.get(parameter, {}).items():
                state[f"{key}.{name}"] = moment
        errors.require_finite(state, position.step)
        checkpoint.save(self.folder, checkpoint.step_name(position.step), state, position, self.identity)
        checkpoint.prune(self.folder, upto=position.step)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {f"weight.{name}": parameter.detach() for name, parameter in self.trained.items()}

    def _resume(self) -> Position:
        latest = checkpoint.newest(self.folder, self.identity)
        if latest is None:
            return Position(0)
        state = checkpoint.load(latest.folder)
        self._set_weights(state)
        for name, parameter in self.trained.items():
            self.optimizer.state[parameter] = {
                key: state[f"{key}.{name}"].to(parameter.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"{key}.{name}" in state
            }
        self.on_event(Resumed(latest.position.step, latest.damaged, latest.machine))
        return latest.position

    def _set_weights(self, state: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state[f"weight.{name}"])

    def _finish(self, position: Position) -> TuningResult:
        self.model.eval()
        if self.settings.activation_checkpointing:
            disable = getattr(self.model, "activation_checkpointing_disable", None)
            (disable or self.model.gradient_checkpointing_disable)()
        if self.settings.keep == "last" or position.best_step in (None, position.step):
            return TuningResult(position.step, position.best_loss, "last")
        best = self.folder / "best"
        try:
            step = checkpoint.check(best, self.identity).step
            damage = None if step == position.best_step else f"it is of step {step}, not {position.best_step}"
        except checkpoint.DamagedError as error:
            damage = str(error)
        if damage is not None:
            raise MachineError(
                "the weights of the best validation loss are damaged",
                where=str(best),
                found=damage,
                fix="remove the checkpoints to tune again, or set tune.keep to last",
            )
        self._set_weights(checkpoint.load(best))
        return TuningResult(position.best_step or 0, position.best_loss, "best")


def _recompute_activations(model: Any) -> None:
    """Switch activation checkpointing on. transformers called it gradient checkpointing before 5.23."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise InputError(
            "this model cannot recompute its activations",
            where="tune.activation_checkpointing",
            found=str(error),
            fix="set it to false; a smaller tune.micro_batch_tokens saves memory too",
        ) from error


def validation_loss(
    model: Any, rows: Sequence[Encoded], *, tokens: int, pad_id: int, device: torch.device
) -> float:
    """Mean loss in nats over all completion tokens of `rows`."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for batch in micro_batches(rows, tokens=tokens):
            total += loss_sum(model, collate(batch, pad_id=pad_id, device=device)).item()
    return total / sum(row.n_loss for row in rows)
