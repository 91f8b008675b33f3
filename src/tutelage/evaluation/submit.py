"""Answers a leaderboard's test sets with a model and writes the files of predictions that it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tutelage.benchmarks.submission import Submission, load_submission
from tutelage.core import files, hashing, outputs
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.locks import locked
from tutelage.core.provenance import provenance, timestamp
from tutelage.core.types import Response
from tutelage.evaluation.answer_cache_key import keyed_engine, open_answer_cache
from tutelage.evaluation.evaluate import IDENTITY_FILE
from tutelage.evaluation.measure import ModelEvaluator
from tutelage.evaluation.options import SubmissionOptions
from tutelage.evaluation.preflight import fit_benchmark
from tutelage.evaluation.progress import Listener, SilentListener
from tutelage.models import LoadedModel, load, load_tokenizer, loaded_fingerprint, resolve
from tutelage.prepare import template_clock
from tutelage.results.run_folder import STORE_FILE
from tutelage.results.store import Store

KIND = "predictions for a leaderboard"


@dataclass(frozen=True, slots=True)
class SubmissionResult:
    """What was written.

    Attributes:
        folder: the folder of the leaderboard's files.
        responses: the store with all answers.
        predictions: how many predictions each file has.
        invalid: by part, how many answers are no label of the leaderboard's, so that the first label stands in their place.
    """

    folder: Path
    responses: Path
    predictions: Mapping[str, int]
    invalid: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _ResponseFolder:
    """The folder of the answers to these questions by this model, which the identity stands for."""

    path: Path
    identity: str

    def check(self) -> None:
        """Refuse a folder that holds anything else."""
        if not self.path.exists():
            return
        try:
            recorded = (self.path / IDENTITY_FILE).read_text("utf-8", "replace").strip()
        except OSError:
            recorded = ""
        is_folder = self.path.is_dir()
        content = [path.name for path in self.path.iterdir()] if is_folder else ["a file"]
        content = [name for name in content if not name.startswith(".")]
        if recorded != self.identity and content:
            raise InputError(
                "the folder for responses holds something else",
                where=str(self.path),
                found="another model's or benchmark's answers"
                if recorded
                else ", ".join(sorted(content)[:5]),
                fix="name another folder with --out, or leave --out away",
            )


def submit(options: SubmissionOptions, *, listener: Listener | None = None) -> SubmissionResult:
    """Answer all test rows and write the leaderboard's files, all or none. The same call again resumes after any stop.

    Args:
        options: model, benchmark and folders.
        listener: receives progress.

    Raises:
        InputError: the model, the benchmark, its test rows or a folder is wrong; InputErrors for several parts without rows.
        MachineError: the disk does not take the files.
    """
    listener = listener or SilentListener()
    listener.stage("check")
    submission = load_submission(options.benchmark, data=options.data_dir, root=Path.cwd())
    target = outputs.Folder(options.to, KIND, [path for path in (options.data_dir, options.out) if path])
    target.check()
    clock = Clock()
    source = resolve(options.model, say=partial(listener.stage, "model"))
    tokenizer = load_tokenizer(source, chat_template=None, clock=clock)
    submission = replace(submission, benchmark=fit_benchmark(submission.benchmark, tokenizer))
    fingerprint = loaded_fingerprint(source, tokenizer.chat_template)
    identity = hashing.of_json([fingerprint, submission.benchmark.fingerprint])
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(options.model).name).strip("-.") or "model"
    place = _ResponseFolder(options.out or Path("runs") / f"submit-{slug}-{identity[:8]}", identity)
    place.check()
    listener.stage("load")
    clock = template_clock.clock_for(place.path, first=clock.instant)
    loaded = load(source, clock=clock)
    responses = _answers(submission, loaded, clock, place, listener)
    texts, invalid = submission.texts(responses)
    with target.new() as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    counts = {file.file: submission.benchmark.sizes[part] for part, file in submission.files.items()}
    return SubmissionResult(options.to, place.path / STORE_FILE, counts, invalid)


def _answers(
    submission: Submission, loaded: LoadedModel, clock: Clock, place: _ResponseFolder, listener: Listener
) -> Mapping[str, Response]:
    """The answers to all test rows: those in the folder, and the model's to the others."""
    folder = place.path
    with locked(folder / ".lock", subject=f"the folder {folder}"):
        place.check()  # again: another process may have started while weights were loaded
        files.write_text(folder / IDENTITY_FILE, place.identity + "\n")
        template_clock.keep_instant(folder, clock)
        with (
            Store.open(folder / STORE_FILE) as store,
            open_answer_cache(partial(listener.stage, "cache")) as cache,
        ):
            engine = keyed_engine(loaded)
            evaluator = ModelEvaluator(
                store,
                loaded.name,
                template_clock.with_instant(loaded.fingerprint, clock),
                {**provenance(started=timestamp()), **template_clock.card_entry(clock)},
                lambda: engine,
                listener,
                cache,
            )
            return evaluator.answer_benchmark(submission.benchmark)
