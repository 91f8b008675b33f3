"""Score one model on benchmarks, without tuning anything."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage import benchmarks as library
from tutelage.core import files, hashing
from tutelage.core.errors import InputError
from tutelage.core.locks import locked
from tutelage.core.provenance import now, provenance
from tutelage.metrics import Scored
from tutelage.models import LoadedModel, load, resolve
from tutelage.recipe.answering import kept_answers, voice
from tutelage.recipe.measure import Asker, Measurement
from tutelage.recipe.progress import Listener, Silent
from tutelage.results.store import Store
from tutelage.tokens import chat

SCHEMA = 1


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
    data_dir: Path | None = None,
    out: Path | None = None,
    chat_template: str | None = None,
    listen: Listener | None = None,
) -> Evaluated:
    """Score a model on benchmarks; responses are kept, and the same call again goes on after any stop.

    Args:
        model: a hub id, a folder, a .gguf file, a run folder, or the bundled default's name.
        benchmarks: names from `tutelage benchmarks list`, or paths of your own specs.
        limit: the first items of each part only.
        data_dir: where benchmarks look for their files.
        out: the folder for responses and scores; `runs/evaluate-<model>-<hash>` by default.
        chat_template: a bundled template's name or a file; the model's own by default.
        listen: is told what happens.

    Raises:
        InputError: the model, a benchmark or the folder is not what it should be.
    """
    if not benchmarks:
        raise InputError("no benchmark is named", where="--benchmark", expected=", ".join(library.names()))
    tell = listen or Silent()
    chosen = [library.load(name, data=data_dir, limit=limit, root=Path.cwd()) for name in benchmarks]
    template = None if chat_template is None else chat.text_of(chat_template, root=Path.cwd())
    tell.stage("load")
    source = resolve(model, say=lambda line: tell.stage("model", line))
    loaded = load(source, chat_template=template)
    identity = hashing.of_json([loaded.fingerprint, [b.fingerprint for b in chosen]])
    folder = out or Path("runs") / f"evaluate-{_slug(model)}-{identity[:8]}"
    started = now()
    with locked(folder / ".lock", what=f"the folder {folder}"):
        _claim(folder, identity)
        with Store.open(folder / "results.sqlite") as store:
            found = _ask_all(store, loaded, chosen, started, tell)
        said = {**provenance(started=started, ended=now()), "model": model, "identity": identity}
        document = {
            "schema": SCHEMA,
            "provenance": said,
            "benchmarks": {name: as_json(m) for name, m in found.items()},
        }
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        files.write_text(folder / "evaluation.json", text + "\n")
    return Evaluated(folder, document)


def as_json(measured: Measurement) -> dict[str, Any]:
    """One benchmark's scores as `evaluate --json` prints them."""
    return {
        "primary": measured.primary,
        "scores": _scores(measured.scores),
        "parts": {part: _scores(scores) for part, scores in measured.parts.items()},
    }


def _ask_all(
    store: Store,
    loaded: LoadedModel,
    chosen: Sequence[library.Benchmark],
    started: str,
    tell: Listener,
) -> dict[str, Measurement]:
    speaking = voice(loaded)
    said = provenance(started=started)
    found = {}
    with kept_answers(lambda line: tell.stage("cache", line)) as answers:
        asker = Asker(store, loaded.name, loaded.fingerprint, said, lambda: speaking, tell, answers)
        for benchmark in chosen:
            tell.stage(benchmark.name)
            found[benchmark.name] = asker.benchmark(benchmark)
    return found


def _claim(folder: Path, identity: str) -> None:
    """Refuse a folder that another evaluation was made in."""
    mark = folder / "identity"
    if mark.is_file():
        if mark.read_text("utf-8").strip() == identity:
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
    files.write_text(mark, identity + "\n")


def _scores(scores: Mapping[str, Scored]) -> dict[str, Any]:
    return {metric: scored.score.as_json() for metric, scored in scores.items()}


def _slug(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(model).name).strip("-.") or "model"
