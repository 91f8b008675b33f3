"""Scores one model on benchmarks, without tuning anything."""

from __future__ import annotations

import gc
import json
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
from tutelage.core.provenance import provenance, timestamp
from tutelage.evaluation.answer_folder import AnswerFolder
from tutelage.evaluation.measure import Measurement, evaluator_of, pair_scores
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
from tutelage.results.run_folder import EVALUATION_FILE
from tutelage.results.store import Store

BASE, TUNED = "base", "tuned"
FINGERPRINT = "model_fingerprint"
"""In the provenance of an evaluation: the model's files, generation settings among them."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """An evaluation's folder, and its document (the content of `evaluation.json`)."""

    folder: Path
    document: Mapping[str, Any]


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
    folder, legacy = _answer_folder(checked, options)
    if legacy:
        listener.stage(
            "check",
            f"{folder.path} was begun before generation settings were part of an evaluation: it is continued",
        )
    folder.check()
    folder.check_answers()
    listener.stage("load")
    # Prompts are those of the first start, also on another day: what was fitted to the context is in the identity.
    clock = template_clock.clock_for(folder.path, first=clock.instant)
    loaded = load(checked.source, chat_template=checked.template, clock=clock)
    if legacy:
        loaded = replace(loaded, fingerprint=checked.legacy_fingerprint)
    started = timestamp()
    with folder.open(clock, say=partial(listener.stage, "cache")) as (store, cache):
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
                base = measure(_below_adapter(loaded, checked.source, legacy=legacy))
        elif checked.base is not None:
            template = loaded.chat_template
            del loaded  # frees its memory for the base
            gc.collect()
            listener.stage("load", "the base")
            base = measure(replace(load(checked.base, chat_template=template, clock=clock), name=BASE))
        made_from = {"store": digests.of_store(store)}
        compared: dict[str, Any] = {}
        if base:
            compared = {
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
                    "identity": folder.identity,
                    FINGERPRINT: checked.fingerprint,
                },
                "benchmarks": {name: as_json(measurement) for name, measurement in scores.items()},
                **compared,
                "made_from": made_from,
            }
        )
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        files.write_text(folder.path / EVALUATION_FILE, text + "\n")
    return EvaluationResult(folder.path, document)


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
    evaluator = evaluator_of(
        loaded,
        store,
        cache,
        listener,
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


def _answer_folder(checked: CheckedEvaluation, options: EvaluationOptions) -> tuple[AnswerFolder, bool]:
    """Where an evaluation goes, and whether an older version began it, whose identity left out the generation settings.

    An evaluation of an older version is continued if the model is still the same.
    """

    def folder(model_fingerprint: str) -> AnswerFolder:
        parts = [model_fingerprint, [benchmark.fingerprint for benchmark in checked.benchmarks]]
        if options.against_base:
            parts += ["against base", *([fingerprint(checked.base)] if checked.base else [])]
        return AnswerFolder.named(options.out, "evaluate", options.model, hashing.of_json(parts))

    current, legacy = folder(checked.fingerprint), folder(checked.legacy_fingerprint)
    if not current.has_identity and legacy.has_identity:
        recorded: Mapping[str, Any] = {}
        with suppress(InputError):  # missing or damaged: it is computed again
            recorded = digests.read_evaluation(legacy.path / EVALUATION_FILE)["provenance"]
        if recorded.get(FINGERPRINT, checked.fingerprint) == checked.fingerprint:
            return legacy, True
    return current, False


def _scores(scores: Mapping[str, ItemScores]) -> dict[str, Any]:
    return {metric: item_scores.score.as_json() for metric, item_scores in scores.items()}
