"""Scores one model on benchmarks, without tuning anything."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.comparison import compare_models
from tutelage.core import files, hashing
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.locks import locked
from tutelage.core.provenance import provenance, timestamp
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.measure import Measurement, ModelEvaluator, pair_scores
from tutelage.evaluation.options import EvaluationOptions
from tutelage.evaluation.preflight import CheckedEvaluation, check_evaluation
from tutelage.evaluation.progress import Listener, SilentListener
from tutelage.metrics import ItemScores
from tutelage.models import LoadedModel, ModelSource, base_of, fingerprint, load
from tutelage.models.adapters import adapter_off
from tutelage.prepare import template_clock
from tutelage.results import digests
from tutelage.results.answer_cache import AnswerCache
from tutelage.results.document import sealed
from tutelage.results.run_folder import EVALUATION_FILE, STORE_FILE
from tutelage.results.store import Store
from tutelage.tokens.rendering import clock_of

BASE, TUNED = "base", "tuned"
IDENTITY_FILE = "identity"
"""The file of a folder that says which evaluation it holds."""
FINGERPRINT = "model_fingerprint"
"""In the provenance of an evaluation: the model's files, generation settings among them."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """An evaluation's folder, and its document (the content of `evaluation.json`)."""

    folder: Path
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """The folder of an evaluation, and the identity that it is marked with.

    `legacy` is whether an older version began it, whose identity left out the model's generation settings.
    """

    folder: Path
    identity: str
    legacy: bool


def evaluate(options: EvaluationOptions, *, listener: Listener | None = None) -> EvaluationResult:
    """Score a model on benchmarks. Responses are stored; the same call again resumes after any stop.

    Args:
        options: what is evaluated, and how.
        listener: receives progress.

    Raises:
        InputError: the model, a benchmark or the folder is wrong; InputErrors for all mistakes that were found before weights
            were loaded.
    """
    listener = listener or SilentListener()
    listener.stage("check")
    clock = Clock()
    checked = check_evaluation(options, say=partial(listener.stage, "model"), clock=clock)
    place = _place(checked, options)
    if place.legacy:
        listener.stage(
            "check",
            f"{place.folder} was begun before generation settings were part of an evaluation: it is continued",
        )
    _check_folder(place)
    if (place.folder / STORE_FILE).is_file():
        with Store.open(place.folder / STORE_FILE, read_only=True) as store:
            digests.require_answers(store)
    listener.stage("load")
    # Prompts are those of the first start, also on another day: what was fitted to the context is in the identity.
    clock = template_clock.clock_for(place.folder, first=clock.instant)
    loaded = load(checked.source, chat_template=checked.template, clock=clock)
    if place.legacy:
        loaded = replace(loaded, fingerprint=checked.legacy_fingerprint)
    started = timestamp()
    with locked(place.folder / ".lock", subject=f"the folder {place.folder}"):
        _check_folder(place)  # again: another evaluation may have started while weights were loaded
        files.write_text(place.folder / IDENTITY_FILE, place.identity + "\n")
        template_clock.keep_instant(place.folder, clock)
        with (
            Store.open(place.folder / STORE_FILE) as store,
            open_answer_cache(partial(listener.stage, "cache")) as cache,
        ):
            measure = partial(
                _measure,
                checked.benchmarks,
                store=store,
                cache=cache,
                listener=listener,
                self_check=options.self_check,
            )
            scores = measure(replace(loaded, name=TUNED) if options.against_base else loaded)
            base: Mapping[str, Measurement] = {}
            if options.against_base and loaded.adapter:
                with adapter_off(loaded):
                    base = measure(_below_adapter(loaded, checked.source, legacy=place.legacy))
            elif checked.base is not None:
                template = loaded.chat_template
                del loaded  # frees its memory for the base
                gc.collect()
                listener.stage("load", "the base")
                base = measure(replace(load(checked.base, chat_template=template, clock=clock), name=BASE))
            made_from = {"store": digests.of_store(store)}
        compared: Mapping[str, Any] = base and {
            "base": {name: as_json(measurement) for name, measurement in base.items()},
            "against_base": compare_models({}, pair_scores(base, scores)).as_json()["watched"],
        }
        document = sealed(
            {
                "schema": 1,
                "provenance": {
                    **provenance(started=started, ended=timestamp()),
                    **template_clock.card_entry(clock),
                    "model": options.model,
                    "identity": place.identity,
                    FINGERPRINT: checked.fingerprint,
                },
                "benchmarks": {name: as_json(measurement) for name, measurement in scores.items()},
                **compared,
                "made_from": made_from,
            }
        )
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        files.write_text(place.folder / EVALUATION_FILE, text + "\n")
    return EvaluationResult(place.folder, document)


def as_json(measurement: Measurement) -> dict[str, Any]:
    """One benchmark's scores as `evaluate --json` prints them."""
    return {
        "primary": measurement.primary,
        "scores": _scores(measurement.scores),
        **({"groups": list(measurement.groups)} if measurement.groups else {}),
        **({"headline": measurement.headline} if measurement.headline else {}),
        **measurement.notes,
        "parts": {part: _scores(scores) for part, scores in measurement.parts.items()},
    }


def _measure(
    benchmarks: Sequence[Benchmark],
    loaded: LoadedModel,
    *,
    store: Store,
    cache: AnswerCache | None,
    listener: Listener,
    self_check: bool,
) -> Mapping[str, Measurement]:
    """Answer and score all benchmarks with a model."""
    engine = keyed_engine(loaded)
    clock = clock_of(loaded.tokenizer)
    evaluator = ModelEvaluator(
        store,
        loaded.name,
        template_clock.with_instant(loaded.fingerprint, clock),
        {**provenance(started=timestamp()), **template_clock.card_entry(clock)},
        lambda: engine,
        listener,
        cache,
        stage_prefix=f"{loaded.name}: " if loaded.name in (BASE, TUNED) else "",
        self_check=self_check,
    )
    return evaluator.measure((), benchmarks).benchmarks


def _below_adapter(loaded: LoadedModel, source: ModelSource, *, legacy: bool) -> LoadedModel:
    """A model whose adapter is switched off, with the name and the fingerprint of the model below it."""
    parts = {
        "files": fingerprint(base_of(source), settings=not legacy),
        "chat_template": loaded.chat_template,
        "adapter": "off",
    }
    return replace(loaded, name=BASE, fingerprint=hashing.of_json(parts))


def _place(checked: CheckedEvaluation, options: EvaluationOptions) -> _Place:
    """Where an evaluation goes; one that an older version began is continued if the model is still the same."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(options.model).name).strip("-.") or "model"

    def place(model_fingerprint: str, *, legacy: bool) -> _Place:
        parts = [model_fingerprint, [benchmark.fingerprint for benchmark in checked.benchmarks]]
        if options.against_base:
            parts += ["against base", *([fingerprint(checked.base)] if checked.base else [])]
        identity = hashing.of_json(parts)
        return _Place(options.out or Path("runs") / f"evaluate-{slug}-{identity[:8]}", identity, legacy)

    current = place(checked.fingerprint, legacy=False)
    legacy = place(checked.legacy_fingerprint, legacy=True)
    if _identity_in(current.folder) != current.identity and _identity_in(legacy.folder) == legacy.identity:
        recorded: Mapping[str, Any] = {}
        with suppress(InputError):  # missing or damaged: it is computed again
            recorded = digests.read_evaluation(legacy.folder / EVALUATION_FILE)["provenance"]
        if recorded.get(FINGERPRINT, checked.fingerprint) == checked.fingerprint:
            return legacy
    return current


def _identity_in(folder: Path) -> str:
    """The identity that a folder is marked with; '' when there is none."""
    try:
        return (folder / IDENTITY_FILE).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _check_folder(place: _Place) -> None:
    """Refuse a folder that holds another evaluation, or anything else."""
    folder = place.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(
            "the folder for responses is a file",
            where=str(folder),
            expected="a folder, or a name that is free",
            fix="name another one with --out",
        )
    is_marked = (folder / IDENTITY_FILE).is_file()
    if is_marked and _identity_in(folder) != place.identity:
        raise InputError(
            "the folder holds another evaluation",
            where=str(folder),
            expected="the same model, chat template and benchmark items",
            fix="name another folder with --out, or leave --out away",
        )
    content = sorted(path.name for path in folder.glob("[!.]*"))
    if content and not is_marked:
        raise InputError(
            "the folder holds something that is no evaluation",
            where=str(folder),
            found=", ".join(content[:5]),
            fix="name another folder with --out",
        )


def _scores(scores: Mapping[str, ItemScores]) -> dict[str, Any]:
    return {metric: item_scores.score.as_json() for metric, item_scores in scores.items()}
