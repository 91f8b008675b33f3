"""The tuning stage of a run: base weights and rows in, a saved model out; skipped when that model exists already."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

from tutelage.config.schema import Recipe
from tutelage.config.tune_block import Tune
from tutelage.core import hashing, manifest
from tutelage.evaluation.progress import Listener
from tutelage.job import integrity
from tutelage.job.context import RunContext
from tutelage.job.merged_copy import copy_of_run
from tutelage.job.tracking import Tracker
from tutelage.models import LoadedModel, ModelSource, add_adapter, export, fingerprint, methods
from tutelage.models.export import output_folder
from tutelage.models.freezing import freeze, train_last
from tutelage.prepare.preparation import Prepared
from tutelage.results import tuned_record
from tutelage.results.step_log import StepLog
from tutelage.results.store import Store
from tutelage.tokens.packing import Packing, packing_of
from tutelage.training.events import (
    Event,
    LossParts,
    Resumed,
    SelfChecked,
    StartValidated,
    StepDone,
    ValidationDone,
)
from tutelage.training.loop import Loop
from tutelage.training.settings import LoopSettings, Objective, TrainingSettings


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """A tuning with all its settings fixed.

    Attributes:
        settings: of the training loop.
        needs: by name all else that the weights depend on.
    """

    settings: LoopSettings
    needs: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """The hash of all that the weights depend on."""
        return hashing.of_json({**self.needs, "settings": self.settings.identity()})


def step_count(recipe: Recipe, rows: Prepared) -> int:
    """Optimizer steps of the recipe's epochs, at most as many as its `steps`."""
    tune = recipe.tune
    steps = math.ceil(tune.epochs * rows.mixture.epoch / tune.batch_size)
    return steps if tune.steps is None else min(steps, tune.steps)


def plan_tuning(recipe: Recipe, rows: Prepared, base_fingerprint: str) -> TuningPlan:
    """Turn the recipe's epochs and shares into steps, and name all that the weights will depend on."""
    tune = recipe.tune
    steps_per_epoch = rows.mixture.epoch / tune.batch_size
    settings = LoopSettings(
        **{name: getattr(tune, name) for name in TrainingSettings.model_fields},
        steps=step_count(recipe, rows),
        learning_rate=tune.rate,
        validate_every=max(1, round(tune.validate_every * steps_per_epoch)),
        packing=_packing(tune, rows),
        objective=Objective(**{name: getattr(tune, name) for name in Objective.model_fields}),
    )
    needs = {"base_model": base_fingerprint, "data": rows.identity, "method": tune.method_identity()}
    return TuningPlan(settings, needs)


def tune_if_needed(
    context: RunContext,
    rows: Prepared,
    plan: TuningPlan,
    *,
    base: LoadedModel,
    source: ModelSource,
    store: Store,
    tracker: Tracker | None = None,
) -> None:
    """Tune the base model, unless the run folder holds the model of this plan already.

    Args:
        context: the run.
        rows: its prepared rows.
        plan: from `plan_tuning`.
        base: the base model; it is tuned in place.
        source: the base model's files.
        store: takes the training log.
        tracker: measures the model at some steps; None for none.

    Raises:
        InputError: the folder holds that model, and its files are not as they were written; or tuned.json is damaged.
    """
    folder = context.folder
    record = tuned_record.read(folder.path)
    if record is None or record["identity"] != plan.identity or not folder.model.is_dir():
        context.listener.stage("tune")
        tune(context, rows, plan, base=base, source=source, store=store, tracker=tracker)
    else:
        integrity.require_model(folder, record, fingerprint(source), context.say("check"))
        context.listener.stage("tune", "was done before")
    shutil.rmtree(folder.checkpoints, ignore_errors=True)


def tune(
    context: RunContext,
    rows: Prepared,
    plan: TuningPlan,
    *,
    base: LoadedModel,
    source: ModelSource,
    store: Store,
    tracker: Tracker | None = None,
) -> None:
    """Tune `base` in place and save the result, tuned.json last; resumes from the newest checkpoint."""
    folder = context.folder
    output_folder(folder.model, of_run=True).check()
    if tracker is not None:
        tracker.begin(base)
    trainable = _trainable(base, context.recipe.tune)
    validates = plan.settings.validates_after if rows.validation else lambda _: False
    log = _TrainingLog(store, context.listener, StepLog(folder.log, validates))
    tuned = Loop(
        trainable.model,
        pad_id=trainable.pad,
        row_at=rows.row_at,
        validation=rows.validation,
        settings=plan.settings,
        folder=folder.checkpoints,
        needs=plan.needs,
        on_event=log,
        **({} if tracker is None else {"after_step": tracker.after_step(trainable)}),
    ).tune()
    log.lines.close()
    export(trainable, folder.model, merge=False, base=source, of_run=True)
    copy_of_run(context).remove()  # of an earlier model
    store.trim_steps(plan.settings.steps)
    record = {
        "identity": plan.identity,
        "step": tuned.step,
        "steps": plan.settings.steps,
        "kept": tuned.weights,
        "validation_loss": tuned.best_loss,
        **({"self_check": asdict(log.self_check)} if log.self_check is not None else {}),
        "seen": log_totals(store),
        "recorded": tuned_record.WHEN_WRITTEN,
        "files": manifest.of_folder(folder.model),
    }
    tuned_record.write(folder.path, record)


def objective_weights(recipe: Recipe) -> dict[str, float | str]:
    """The parts of the loss that is minimised, each with its weight."""
    return recipe.tune.terms()


def log_totals(store: Store) -> dict[str, Any]:
    """Steps, rows and tokens of the whole training log; with packing, how full the packs were.

    `fill` is the share of all packs' room that rows took: a number, or one for `source` and one for `target`.
    """
    steps = [step for step in store.steps() if step["step"] > 0]
    seen = {
        f"{name}_seen": sum(int(step[name]) for step in steps) for name in ("rows", "tokens", "loss_tokens")
    }
    totals: dict[str, Any] = {"steps": len(steps), **seen}
    if packs := sum(int(step.get("packs", 0)) for step in steps):
        fill = {
            side: round(sum(step[f"{side}_fill"] * step["packs"] for step in steps) / packs, 6)
            for side in ("source", "target")
            if f"{side}_fill" in steps[0]
        }
        totals |= {"packs": packs, "fill": fill if len(fill) > 1 else fill["target"]}
    return totals


class _TrainingLog:
    """Writes training steps to the store and to log.jsonl, and passes events on; `self_check` is the last self-check."""

    def __init__(self, store: Store, listener: Listener, lines: StepLog) -> None:
        self._store = store
        self._listener = listener
        self.lines = lines
        self._last: dict[str, float] = {}
        self.self_check: SelfChecked | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case StepDone():
                self._last = {
                    "loss": event.loss,
                    "rate": event.learning_rate,
                    "norm": event.grad_norm,
                    "rows": event.rows,
                    "tokens": event.tokens,
                    "loss_tokens": event.loss_tokens,
                    "seconds": event.seconds,
                    "memory": event.memory,
                    **_pack_fill(event),
                    **_loss_parts(event.parts),
                }
                self._store.log_step(event.step, self._last)
                self.lines.add(event.step, self._last)
            case StartValidated(loss):
                self._store.log_step(0, {"validation_loss": loss})
                self.lines.add(0, {"validation_loss": loss})
            case ValidationDone():
                step = {**self._last, "validation_loss": event.loss}
                self._store.log_step(event.step, step)
                self.lines.add(event.step, step)
            case Resumed():
                self.lines.begin(self._store.steps(), upto=event.step)
            case SelfChecked():
                self.self_check = event
        self._listener.event(event)


def _pack_fill(step: StepDone) -> dict[str, float]:
    """How many packs a step had, and how full they were."""
    if not step.packs:
        return {}
    # A decoder-only model has no source.
    names = ("source_fill", "target_fill")[-len(step.fill) :]
    return {"packs": step.packs, **dict(zip(names, step.fill, strict=True))}


def _loss_parts(parts: LossParts | None) -> dict[str, float]:
    """The parts of a step's objective beside the loss of completions, by their names in the log."""
    if parts is None:
        return {}
    values = {
        "minimised": parts.total,
        "prompt_loss": parts.prompt,
        "kl": parts.kl,
        "l2": parts.l2,
        "token_weight": parts.token_weight,
    }
    return {name: value for name, value in values.items() if value is not None}


def _packing(tune: Tune, rows: Prepared) -> Packing | None:
    if not tune.packing:
        return None
    encoded = chain.from_iterable(task.train for task in rows.tasks)
    return replace(packing_of(encoded, max_length=rows.card["max_length"]), epoch=rows.mixture.epoch)


def _trainable(base: LoadedModel, tune: Tune) -> LoadedModel:
    """The base with the method's adapter, or for full tuning with its trainable weights unfrozen."""
    options = tune.options
    if methods.find(tune.method).kind != "full":
        return add_adapter(base, tune.method, options, seed=tune.seed)
    base.model.requires_grad_(True)
    if "freeze" in options:
        freeze(base.model, options["freeze"])
    if "train_last" in options:
        train_last(base.model, options["train_last"])
    return base
