"""Score one model on benchmarks, without tuning anything."""

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

from tutelage import benchmarks as library
from tutelage.comparison import compare
from tutelage.core import files, hashing
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.locks import locked
from tutelage.core.provenance import now, provenance
from tutelage.evaluation import preflight
from tutelage.evaluation.answer_cache_key import kept_answers, voice
from tutelage.evaluation.measure import Asker, Measurement, pairs
from tutelage.evaluation.progress import Listener, Silent
from tutelage.metrics import ItemScores
from tutelage.models import LoadedModel, load
from tutelage.models.adapters import adapter_off
from tutelage.models.source import base_of, fingerprint
from tutelage.prepare import template_clock
from tutelage.results import digests
from tutelage.results.answer_cache import Answers
from tutelage.results.document import sealed
from tutelage.results.run_folder import EVALUATION_FILE, STORE_FILE
from tutelage.results.store import Store
from tutelage.tokens.rendering import clock_of

SCHEMA = 1
BASE, TUNED = "base", "tuned"
MARK = "identity"
"""The file of a folder that says whose evaluation it holds."""
FINGERPRINT = "model_fingerprint"
"""In the provenance of an evaluation: the model's files, generation settings among them."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation's folder and its document (`evaluation.json`'s content)."""

    folder: Path
    document: Mapping[str, Any]


def evaluate(
    model: str,
    benchmarks: Sequence[str],
    *,
    limit: int | None = None,
    first: bool = False,
    shots: int | None = None,
    against_base: bool = False,
    self_check: bool = False,
    data_dir: Path | None = None,
    out: Path | None = None,
    chat_template: str | None = None,
    listen: Listener | None = None,
) -> Evaluated:
    """Score a model on benchmarks; responses are kept, and the same call again goes on after any stop.

    Args:
        model: a hub id, a folder, a .gguf file, a run folder, or the bundled default's name.
        benchmarks: names from `tutelage benchmarks list`, each with a way behind a colon where it has several (`mmlu:cloze`,
            `mmlu:all`), or paths of your own specs.
        limit: at most so many items of each part: a sample, the same for every model and way.
        first: the first items of each part instead of a sample.
        shots: worked examples before each question, for benchmarks that have some; as many as their spec says by default.
        against_base: ask what the model was tuned from the same, with the same chat template, and compare: the weights below
            its adapter, or, of a merged or fully tuned model, the base that its run names, which is loaded after it.
        self_check: ask a few of each benchmark's questions again, one by one and the plain way, and compare.
        data_dir: where benchmarks look for their files.
        out: the folder for responses and scores; `runs/evaluate-<model>-<hash>` by default.
        chat_template: a bundled template's name or a file; the model's own by default.
        listen: is told what happens.

    Raises:
        InputError: the model, a benchmark or the folder is not what it should be; InputErrors for all that was found before
            weights were loaded.
    """
    tell = listen or Silent()
    asked = preflight.Asked(
        model=model,
        benchmarks=tuple(benchmarks),
        limit=library.Limit(limit, first=first),
        shots=shots,
        data_dir=data_dir,
        chat_template=chat_template,
        against_base=against_base,
    )
    tell.stage("check")
    clock = Clock()
    ready = preflight.check(
        asked, out=out or Path("runs"), say=lambda line: tell.stage("model", line), clock=clock
    )
    identity, older = (
        _identity(of_model, ready, against_base=against_base) for of_model in (ready.fingerprint, ready.older)
    )
    folder, begun_before = _folder(out, model, identity, older, now=ready.fingerprint)
    if begun_before:
        tell.stage(
            "check", f"{folder} was begun before generation settings were part of an evaluation: gone on with"
        )
        identity = older
    _refuse_others(folder, identity)
    _require_answers(folder)
    tell.stage("load")
    # The same questions, also when the first start was on another day: what was fitted to the context is in the identity.
    clock = template_clock.clock_for(folder, first=clock.instant)
    loaded = load(ready.source, chat_template=ready.template, clock=clock)
    if begun_before:
        loaded = replace(loaded, fingerprint=ready.older)
    started = now()
    with locked(folder / ".lock", what=f"the folder {folder}"):
        _refuse_others(
            folder, identity
        )  # once more: another evaluation may have come while weights were loaded
        files.write_text(folder / MARK, identity + "\n")
        template_clock.keep(folder, clock)
        with (
            Store.open(folder / STORE_FILE) as store,
            kept_answers(partial(tell.stage, "cache")) as kept,
        ):
            own = replace(loaded, name=TUNED) if against_base else loaded
            ask = _Ask(store, ready, kept, tell, self_check=self_check)
            found = ask.all(own)
            base: dict[str, Measurement] = {}
            if against_base and loaded.adapter:
                base = ask.below_adapter(loaded, settings=not begun_before)
            elif ready.base is not None:
                chat_template = loaded.chat_template
                del loaded, own  # the base has their memory
                gc.collect()
                tell.stage("load", "the base")
                base = ask.all(replace(load(ready.base, chat_template=chat_template, clock=clock), name=BASE))
            made_from = {"store": digests.record(store)}
        said = {
            **provenance(started=started, ended=now()),
            **template_clock.noted(clock),
            "model": model,
            "identity": identity,
            FINGERPRINT: ready.fingerprint,
        }
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "provenance": said,
            "benchmarks": {name: as_json(m) for name, m in found.items()},
        }
        if base:
            document["base"] = {name: as_json(m) for name, m in base.items()}
            document["against_base"] = compare({}, pairs(base, found)).as_json()["watched"]
        document = sealed({**document, "made_from": made_from})
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        files.write_text(folder / EVALUATION_FILE, text + "\n")
    return Evaluated(folder, document)


def as_json(measured: Measurement) -> dict[str, Any]:
    """One benchmark's scores as `evaluate --json` prints them."""
    found: dict[str, Any] = {"primary": measured.primary, "scores": _scores(measured.scores)}
    if measured.groups:
        found["groups"] = list(measured.groups)
    if measured.headline:
        found["headline"] = measured.headline
    found.update(measured.said)
    return {**found, "parts": {part: _scores(scores) for part, scores in measured.parts.items()}}


@dataclass(frozen=True, slots=True)
class _Ask:
    """One evaluation's questions, to be asked of one model or two."""

    store: Store
    ready: preflight.Ready
    kept: Answers | None
    tell: Listener
    self_check: bool

    def below_adapter(self, loaded: LoadedModel, *, settings: bool) -> dict[str, Measurement]:
        """The model below the adapter, whose weights are in memory already; `settings` as of `fingerprint`."""
        with adapter_off(loaded):
            files_ = fingerprint(base_of(self.ready.source), settings=settings)
            parts = {"files": files_, "chat_template": loaded.chat_template}
            return self.all(
                replace(loaded, name=BASE, fingerprint=hashing.of_json({**parts, "adapter": "off"}))
            )

    def all(self, loaded: LoadedModel) -> dict[str, Measurement]:
        """Every benchmark."""
        speaking = voice(loaded)
        clock = clock_of(loaded.tokenizer)
        stages = f"{loaded.name}: " if loaded.name in (BASE, TUNED) else ""
        asker = Asker(
            self.store,
            loaded.name,
            template_clock.stamped(loaded.fingerprint, clock),
            {**provenance(started=now()), **template_clock.noted(clock)},
            lambda: speaking,
            self.tell,
            answers=self.kept,
            stages=stages,
            self_check=self.self_check,
        )
        found = {}
        for benchmark in self.ready.benchmarks:
            self.tell.stage(stages + benchmark.name)
            found[benchmark.name] = asker.benchmark(benchmark)
        return found


def _identity(print_: str, ready: preflight.Ready, *, against_base: bool) -> str:
    asked_of = [print_, [one.fingerprint for one in ready.benchmarks]]
    if against_base:
        asked_of += ["against base", *([fingerprint(ready.base)] if ready.base else [])]
    return hashing.of_json(asked_of)


def _folder(out: Path | None, model: str, identity: str, older: str, *, now: str) -> tuple[Path, bool]:
    """Where an evaluation goes, and whether an older version began it there, under the identity that it had then.

    Such a folder is gone on with as long as the model is the one (`now`) that it was last finished with.
    """
    slug = _slug(model)
    places = {key: out or Path("runs") / f"evaluate-{slug}-{key[:8]}" for key in (identity, older)}
    if _mark(places[identity]) == identity:
        return places[identity], False
    if _mark(places[older]) == older:
        known: Mapping[str, Any] = {}
        with suppress(InputError):  # missing or damaged: it is computed again
            known = digests.read_evaluation(places[older] / EVALUATION_FILE)["provenance"]
        if known.get(FINGERPRINT, now) == now:
            return places[older], True
    return places[identity], False


def _mark(folder: Path) -> str:
    """The identity that a folder is marked with; '' when there is none."""
    try:
        return (folder / MARK).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _require_answers(folder: Path) -> None:
    """Refuse answers that were edited after the document was computed; missing ones are asked again."""
    try:
        document, recorded = digests.beside(folder / STORE_FILE)
    except InputError:
        return  # it is computed again, from the answers as they are
    if recorded is None or not (folder / STORE_FILE).is_file():
        return
    with Store.open(folder / STORE_FILE, read_only=True) as store:
        changed = digests.changes(store, recorded)
        if changed.answers:
            raise digests.mismatch(store, changed, by=document)


def _refuse_others(folder: Path, identity: str) -> None:
    """Refuse a folder that another evaluation was made in, or anything else."""
    mark = folder / MARK
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(
            "the folder for responses is a file",
            where=str(folder),
            expected="a folder, or a name that is free",
            fix="name another one with --out",
        )
    if mark.is_file():
        if _mark(folder) == identity:
            return
        raise InputError(
            "the folder holds another evaluation",
            where=str(folder),
            expected="the same model, chat template and benchmark items",
            fix="name another folder with --out, or leave --out away",
        )
    others = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
    if others:
        raise InputError(
            "the folder holds something that is no evaluation",
            where=str(folder),
            found=", ".join(sorted(others)[:5]),
            fix="name another folder with --out",
        )


def _scores(scores: Mapping[str, ItemScores]) -> dict[str, Any]:
    return {metric: scored.score.as_json() for metric, scored in scores.items()}


def _slug(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(model).name).strip("-.") or "model"
