"""The tuning stage of a run: base weights and rows in, a saved model out, skipped when it is there already."""

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
from tutelage.models import LoadedModel, ModelSource, add_adapter, export, methods, require_whole
from tutelage.models.export import output_folder
from tutelage.models.freezing import freeze, train_last
from tutelage.prepare.preparation import Prepared
from tutelage.results import tuned_record as record_of
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store
from tutelage.tokens.packing import Packing, packing_of
from tutelage.training.events import (
    BaseKept,
    Event,
    Parts,
    Resumed,
    SelfChecked,
    Step,
    Stopping,
    Validation,
)
from tutelage.training.loop import Loop, Tuned
from tutelage.training.settings import LoopSettings, Objective, TrainingSettings


@dataclass(frozen=True, slots=True)
class Job:
    """One tuning, settled: its settings, and by name what else its weights depend on."""

    settings: LoopSettings
    needs: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """The hash of all that its weights depend on."""
        return hashing.of_json({**self.needs, "settings": self.settings.identity()})


def steps_of(recipe: Recipe, prepared: Prepared) -> int:
    """How many optimizer steps the recipe's epochs are, or as many as it allows."""
    tune = recipe.tune
    steps = math.ceil(tune.epochs * prepared.n_train / tune.batch_size)
    return steps if tune.steps is None else min(steps, tune.steps)


def settle(recipe: Recipe, prepared: Prepared, base_fingerprint: str) -> Job:
    """Turn the recipe's epochs and shares into steps, and name what the weights will depend on."""
    tune = recipe.tune
    epoch = prepared.n_train / tune.batch_size
    settings = LoopSettings(
        **{name: getattr(tune, name) for name in TrainingSettings.model_fields},
        steps=steps_of(recipe, prepared),
        learning_rate=tune.rate,
        validate_every=max(1, round(tune.validate_every * epoch)),
        packing=_packing(tune, prepared),
        objective=Objective(**{name: getattr(tune, name) for name in Objective.model_fields}),
    )
    method = {"name": tune.method, **tune.options}
    return Job(settings, {"base_model": base_fingerprint, "data": prepared.identity, "method": method})


def done(folder: RunFolder, job: Job) -> bool:
    """Whether the tuned model is there and of this tuning.

    Raises:
        InputError: it is, and its files are not as they were written; or tuned.json is damaged.
    """
    record = record_of.read(folder.path)
    if record is None or record["identity"] != job.identity or not folder.model.is_dir():
        return False
    record_of.require_model(folder.path, record)
    return True


def tune(
    recipe: Recipe,
    prepared: Prepared,
    job: Job,
    *,
    base: LoadedModel,
    source: ModelSource,
    folder: RunFolder,
    store: Store,
    listen: Listener,
) -> None:
    """Tune `base` in place and save the result; goes on from the newest checkpoint."""
    output_folder(folder.model, of_run=True).check()
    loaded = _trainable(base, recipe.tune)
    recorder = _Recorder(store, listen)
    loop = Loop(
        loaded.model,
        pad_id=loaded.pad,
        row_at=prepared.row_at,
        validation=prepared.validation,
        settings=job.settings,
        folder=folder.checkpoints,
        needs=job.needs,
        listen=recorder,
    )
    tuned = loop.tune()
    del loop
    merge = source.kind == "bundled" and "merge" not in methods.find(recipe.tune.method).cannot
    export(loaded, folder.model, merge=merge, base=source, of_run=True)
    store.trim_steps(job.settings.steps)
    _sign(folder, job, tuned, recorder.checked, seen(store))
    clean(folder)


def clean(folder: RunFolder) -> None:
    """Remove the resumable state of a tuning that is done."""
    shutil.rmtree(folder.checkpoints, ignore_errors=True)


def objective(recipe: Recipe) -> dict[str, float]:
    """What is minimised, as the card says it: each part with its weight."""
    parts = {name: getattr(recipe.tune, name) for name in Objective.model_fields}
    return {"completion_loss": 1.0, **{name: weight for name, weight in parts.items() if weight}}


def seen(store: Store) -> dict[str, Any]:
    """What the training log says that training has seen, in all; with packing, how full the packs were.

    The fill is the share of all packs' room that rows took: a number, or one for `source` and one for `target`.
    """
    steps = store.steps()
    totals: dict[str, Any] = {"steps": len(steps)}
    for name in ("rows", "tokens", "loss_tokens"):
        totals[f"{name}_seen"] = sum(int(step[name]) for step in steps)
    packs = sum(int(step.get("packs", 0)) for step in steps)
    if packs:
        fill = {
            side: round(sum(step[f"{side}_fill"] * step["packs"] for step in steps) / packs, 6)
            for side in ("source", "target")
            if f"{side}_fill" in steps[0]
        }
        totals |= {"packs": packs, "fill": fill if len(fill) > 1 else fill["target"]}
    return totals


class _Recorder:
    """Keeps steps in the store and passes every event on; `checked` is what the last self-check found."""

    def __init__(self, store: Store, listen: Listener) -> None:
        self._store = store
        self._listen = listen
        self._last: dict[str, float] = {}
        self.checked: SelfChecked | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Step():
                self._last = {
                    "loss": event.loss,
                    "rate": event.rate,
                    "norm": event.norm,
                    "rows": event.rows,
                    "tokens": event.tokens,
                    "loss_tokens": event.loss_tokens,
                    "seconds": event.seconds,
                    "memory": event.memory,
                    **_filled(event),
                    **_parts(event.parts),
                }
                self._store.log_step(event.step, self._last)
            case Validation():
                self._store.log_step(event.step, {**self._last, "validation_loss": event.loss})
            case SelfChecked():
                self.checked = event
            case Resumed() | BaseKept() | Stopping():
                pass
        self._listen.event(event)


def _filled(step: Step) -> dict[str, float]:
    if not step.packs:
        return {}
    sides = ("source", "target")[-len(step.fill) :]
    fills = zip(sides, step.fill, strict=True)
    return {"packs": step.packs, **{f"{side}_fill": share for side, share in fills}}


def _parts(parts: Parts | None) -> dict[str, float]:
    """What a step minimised beside its completions' loss, under the names that the log has."""
    if parts is None:
        return {}
    found = {"minimised": parts.minimised, "prompt_loss": parts.prompt, "kl": parts.kl, "l2": parts.l2}
    return {name: value for name, value in found.items() if value is not None}


def _packing(tune: Tune, prepared: Prepared) -> Packing | None:
    if not tune.packing:
        return None
    rows = chain.from_iterable(prepared.train)
    return replace(packing_of(rows, max_length=prepared.card["max_length"]), epoch=prepared.n_train)


def _trainable(base: LoadedModel, tune: Tune) -> LoadedModel:
    """The base with the method's own weights on it, or with those of its own that stay frozen."""
    options = tune.options
    if methods.find(tune.method).kind != "full":
        return add_adapter(base, tune.method, options, seed=tune.seed)
    require_whole(base)
    base.model.requires_grad_(True)
    if "freeze" in options:
        freeze(base.model, options["freeze"])
    if "train_last" in options:
        train_last(base.model, options["train_last"])
    return base


def _sign(
    folder: RunFolder, job: Job, tuned: Tuned, checked: SelfChecked | None, log: Mapping[str, Any]
) -> None:
    """Write tuned.json: the tuning, what it saw, and the manifest of the model."""
    record: dict[str, Any] = {
        "identity": job.identity,
        "step": tuned.step,
        "steps": job.settings.steps,
        "kept": tuned.kept,
        "validation_loss": tuned.best_loss,
    }
    if checked is not None:
        record["self_check"] = asdict(checked)
    record |= {
        "seen": dict(log),
        "recorded": record_of.WHEN_WRITTEN,
        "files": manifest.describe(folder.model),
    }
    record_of.write(folder.path, record)
