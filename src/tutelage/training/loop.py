"""The training loop.

One optimizer step: its rows by the order function, cut into micro-batches or packed; each adds the gradient of its summed
loss over the step's number of completion tokens (`minimised.py` has what a recipe may add to that); clip; AdamW.
Nothing but the step is needed to go on after a stop.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tutelage.core import files, provenance, seeds
from tutelage.core.errors import InputError, MachineError
from tutelage.core.types import Encoded
from tutelage.core.version import __version__
from tutelage.tokens.batch import collate, micro_batches
from tutelage.tokens.packing import Packs, packed_micro_batches
from tutelage.training import checkpoint, errors, gradients, schedule, selfcheck
from tutelage.training.checkpoint import Position
from tutelage.training.events import BaseKept, Event, Resumed, Step, Stopping, Validation
from tutelage.training.objective import keeps_rows_apart, loss_sum, require_packable
from tutelage.training.objective_gradient import Minimised, Sums
from tutelage.training.settings import LoopSettings
from tutelage.training.stopping import Stopper

Order = Callable[[int], Encoded]
Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a tuning came to: the step whose weights the model now holds, and the best validation loss."""

    step: int
    best_loss: float | None
    kept: str


@dataclass(frozen=True, slots=True)
class Rows:
    """One step's rows and the micro-batches that they go in; with packing the number of packs and how full they are."""

    rows: list[Encoded]
    micro: list[list[Encoded]]
    packs: int = 0
    fill: tuple[float, ...] = ()


class Loop:
    """One tuning of one model.

    Args:
        model: a transformers or peft model; what requires a gradient is trained.
        pad_id: for encoder-decoder batches.
        row_at: position (0-based, in rows over all epochs) to row: a pure function.
        validation: rows whose loss is watched, may be empty; none without a token that bears loss.
        settings: how to tune.
        folder: where checkpoints go.
        needs: what the weights depend on beside the settings, by name and as JSON: model, method, rows, order.
        listen: is told what happens.
    """

    def __init__(
        self,
        model: Any,
        *,
        pad_id: int,
        row_at: Order,
        validation: Sequence[Encoded],
        settings: LoopSettings,
        folder: Path,
        needs: Mapping[str, Any],
        listen: Listener,
    ) -> None:
        self.model = model
        self.pad_id = pad_id
        self.row_at = row_at
        self.validation = validation
        self.settings = settings
        self.folder = folder
        self.listen = listen
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if not self.trained:
            raise InputError(
                "nothing of the model is to be trained", where="tune", found="no trainable weight"
            )
        if validation and not any(row.n_loss for row in validation):
            raise errors.no_loss("validation", validation)
        self.device = next(iter(self.trained.values())).device
        self.run = checkpoint.Run(needs_of(needs, settings), machine_of(self.device))
        self.stopper = Stopper()
        apart = keeps_rows_apart(model, self.device)
        self.micro_batch_tokens = settings.micro_batch_tokens if apart else 0
        self.packs = self._packs()
        self.minimised = Minimised(model, self.trained, settings.objective)
        self.optimizer = make_optimizer(self.trained, settings)

    def tune(self) -> Tuned:
        """Train from the newest checkpoint, or from the start, to the last step; the model then holds the kept weights."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files.sweep_parts(self.folder)
        with self.stopper:
            position = self._resume()
            if self.settings.activation_checkpointing:
                _recompute(self.model)
            if position.step < self.settings.steps:
                self._begin(position.step)
            return self._finish(self._train(position))

    def _train(self, position: Position) -> Position:
        """Step by step to the last one; a stop that is asked for comes with a checkpoint of where it was."""
        saved = position.step
        while position.step < self.settings.steps and self._step(position.step):
            position = replace(position, step=position.step + 1)
            last = position.step == self.settings.steps
            if self.validation and (last or position.step % self.settings.validate_every == 0):
                position = self._validate(position)
            if last or position.step % self.settings.checkpoint_every == 0:
                self._save(position)
                saved = position.step
        if self.stopper.asked:
            self.listen(Stopping(position.step))
            if saved != position.step:
                self._save(position)
            raise self.stopper.stopped(
                f"stopped after step {position.step} of {self.settings.steps}, whose checkpoint is written"
                if position.step
                else "stopped before the first step was done"
            )
        return position

    def _begin(self, step: int) -> None:
        """Tell what the base takes, and see that rows come out together as they do alone."""
        base = self.minimised.base
        if base is not None and base.kept_bytes:
            self.listen(BaseKept(base.kept_bytes))
        packed = self.packs is not None
        rows = selfcheck.chosen(self.packs.of_step(step) if self.packs else [self._rows(step).rows])
        if not rows:
            return  # the step itself names them
        micro = [rows] if packed else micro_batches(rows, tokens=self.micro_batch_tokens)
        found = selfcheck.check(
            self.minimised, self.trained, micro, step=step, packed=packed, pad_id=self.pad_id
        )
        if found is not None:
            self.listen(found)

    def _packs(self) -> Packs | None:
        settings = self.settings
        if settings.packing is None:
            return None
        require_packable(self.model, self.device)
        return Packs(self.row_at, settings.packing, batch_size=settings.batch_size, steps=settings.steps)

    def _rows(self, step: int) -> Rows:
        """A step's rows: those at its positions, or those of the packs that fall to it."""
        size, tokens = self.settings.batch_size, self.micro_batch_tokens
        if self.packs is None:
            rows = [self.row_at(step * size + i) for i in range(size)]
            return Rows(rows, micro_batches(rows, tokens=tokens))
        packs = self.packs.of_step(step)
        rows = [row for pack in packs for row in pack]
        return Rows(rows, packed_micro_batches(packs, tokens=tokens), len(packs), self.packs.fill(packs))

    def _step(self, step: int) -> bool:
        """One optimizer step; False, and as if it had not begun, when a stop is asked for in its midst."""
        started = time.perf_counter()
        settings = self.settings
        batch = self._rows(step)
        rows = batch.rows
        wanted = sum(row.n_loss for row in rows)
        if not wanted:
            raise errors.no_loss(f"step {step + 1}", rows)
        self.model.train()
        torch.manual_seed(seeds.derive(settings.seed, "dropout", step))
        sums = self._add_gradients(step, batch)
        if sums is None:
            self.optimizer.zero_grad(set_to_none=True)
            return False
        distance = self.minimised.pull()
        parts = self.minimised.parts(sums, rows, distance)
        total = sums.minimised if parts is None else parts.minimised
        limit = settings.max_grad_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained.values(), limit))
        if not math.isfinite(total) or not math.isfinite(norm):
            self.optimizer.zero_grad(set_to_none=True)
            raise errors.not_finite(f"step {step + 1}", f"loss {total}, gradient norm {norm}", rows)
        rate = schedule.rate(settings, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.listen(
            Step(
                step=step + 1,
                steps=settings.steps,
                loss=sums.completion / wanted,
                rate=rate,
                norm=norm,
                rows=len(rows),
                tokens=sum(len(r.ids) + len(r.source or ()) for r in rows),
                loss_tokens=wanted,
                seconds=time.perf_counter() - started,
                memory=resident_bytes(),
                packs=batch.packs,
                fill=batch.fill,
                parts=parts,
            )
        )
        return True

    def _add_gradients(self, step: int, batch: Rows) -> Sums | None:
        """Each micro-batch's part of the step's gradient; None when a stop is asked for."""
        minimised = self.minimised
        weight = minimised.weight(batch.rows)
        sums = Sums()
        with gradients.in_place(self.model):
            for micro in batch.micro:
                if self.stopper.asked:
                    return None
                tensors = collate(
                    micro,
                    pad_id=self.pad_id,
                    device=self.device,
                    flat=bool(batch.packs),
                    prompts=minimised.with_prompts,
                )
                loss, found = minimised.loss(tensors)
                (loss / weight).backward()  # type: ignore[no-untyped-call]  # torch does not type it
                sums += found
                if not math.isfinite(sums.minimised):
                    self.optimizer.zero_grad(set_to_none=True)
                    raise errors.not_finite(f"step {step + 1}", f"loss {sums.minimised}", micro)
        return sums

    def _validate(self, position: Position) -> Position:
        loss = self._loss(self.validation)
        if not math.isfinite(loss):
            rows = [row for row in self.validation if row.n_loss and not math.isfinite(self._loss([row]))]
            raise errors.not_finite(f"validation after step {position.step}", f"loss {loss}", rows)
        best = position.best_loss is None or loss < position.best_loss
        if best:
            position = replace(position, best_loss=loss, best_step=position.step)
            if self.settings.keep == "best" and position.step < self.settings.steps:
                weights = self._weights()
                errors.require_finite(weights, position.step)
                checkpoint.save(self.folder, "best", weights, position, self.run)
        self.listen(Validation(position.step, loss, best))
        return position

    def _loss(self, rows: Sequence[Encoded]) -> float:
        return validation_loss(
            self.model, rows, tokens=self.micro_batch_tokens, pad_id=self.pad_id, device=self.device
        )

    def _save(self, position: Position) -> None:
        state = self._weights()
        for name, parameter in self.trained.items():
            # A weight that no row has reached yet (an expert, an unused head) has no moments.
            for key, moment in self.optimizer.state.get(parameter, {}).items():
                state[f"{key}.{name}"] = moment
        errors.require_finite(state, position.step)
        checkpoint.save(self.folder, checkpoint.name_of(position.step), state, position, self.run)
        checkpoint.prune(self.folder, upto=position.step)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {f"weight.{name}": parameter.detach() for name, parameter in self.trained.items()}

    def _resume(self) -> Position:
        found = checkpoint.newest(self.folder, self.run)
        if found is None:
            return Position(0)
        state = checkpoint.load(found.folder)
        self._put_weights(state)
        for name, parameter in self.trained.items():
            moments = {key: state.get(f"{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
            if moments["step"] is not None:
                self.optimizer.state[parameter] = {
                    key: moment.to(parameter.device) for key, moment in moments.items() if moment is not None
                }
        self.listen(Resumed(found.position.step, found.damaged, found.machine))
        return found.position

    def _put_weights(self, state: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state[f"weight.{name}"])

    def _finish(self, position: Position) -> Tuned:
        self.model.eval()
        if self.settings.activation_checkpointing:
            _keep(self.model)
        if self.settings.keep == "last" or position.best_step in (None, position.step):
            return Tuned(position.step, position.best_loss, "last")
        best = self.folder / "best"
        try:
            kept = checkpoint.check(best, self.run).step
            wrong = None if kept == position.best_step else f"it is of step {kept}, not {position.best_step}"
        except checkpoint.DamagedError as error:
            wrong = str(error)
        if wrong is not None:
            raise MachineError(
                "the weights of the best validation loss are damaged",
                where=str(best),
                found=wrong,
                fix="remove the checkpoints to tune again, or set tune.keep to last",
            )
        self._put_weights(checkpoint.load(best))
        return Tuned(position.best_step or 0, position.best_loss, "best")


def _recompute(model: Any) -> None:
    """Compute activations again in the backward pass. Before 5.23 transformers had it under another name."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise InputError(
            "this model cannot compute its activations again",
            where="tune.activation_checkpointing",
            found=str(error),
            fix="set it to false; a smaller tune.micro_batch_tokens saves memory too",
        ) from error


def _keep(model: Any) -> None:
    disable = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
    disable()


def make_optimizer(trained: dict[str, torch.nn.Parameter], settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), torch's fused one; decay on matrices only."""
    matrices = [p for p in trained.values() if p.ndim >= 2]
    others = [p for p in trained.values() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,
    )


def validation_loss(
    model: Any, rows: Sequence[Encoded], *, tokens: int, pad_id: int, device: torch.device
) -> float:
    """Mean loss in nats over all completion tokens of `rows`."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for micro in micro_batches(rows, tokens=tokens):
            total += loss_sum(model, collate(micro, pad_id=pad_id, device=device)).item()
    return total / sum(row.n_loss for row in rows)


def needs_of(needs: Mapping[str, Any], settings: LoopSettings) -> dict[str, Any]:
    """Everything that a state on the way depends on: beside what the finished weights depend on, the program itself."""
    return {"tutelage": __version__, "tune": settings.identity(), **needs}


def machine_of(device: torch.device) -> dict[str, Any]:
    """What decides how sums are rounded: with another the training goes on, but not bit for bit."""
    versions = provenance.versions()
    libraries = {name: versions.get(name) for name in ("torch", "transformers", "peft")}
    return {**libraries, "device": device.type, "threads": torch.get_num_threads()}


def resident_bytes() -> int:
    """This process's resident memory in bytes, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read every step, as cheap as can be
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
