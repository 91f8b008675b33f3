"""Answers a leaderboard's test sets with a model and writes the files of predictions that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tutelage.core import hashing, outputs
from tutelage.core.clock import Clock
from tutelage.evaluation.answer_folder import AnswerFolder
from tutelage.evaluation.measure import evaluator_of
from tutelage.evaluation.options import SubmissionOptions
from tutelage.evaluation.preflight import check_submission
from tutelage.evaluation.progress import Listener, SilentListener
from tutelage.models import load
from tutelage.prepare import template_clock

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


def submit(options: SubmissionOptions, *, listener: Listener | None = None) -> SubmissionResult:
    """Answer all test rows and write the leaderboard's files, all or none. The same call again resumes after any stop.

    Args:
        options: model, benchmark, chat template and folders.
        listener: receives progress.

    Raises:
        InputError: the model, the benchmark, its test rows or a folder is wrong; InputErrors for all mistakes that were found before
            weights were loaded.
        MachineError: the disk does not take the files.
    """
    listener = listener or SilentListener()
    listener.stage("check")
    target = outputs.Folder(options.to, KIND, [path for path in (options.data_dir, options.out) if path])
    clock = Clock()
    checked = check_submission(options, target, say=partial(listener.stage, "model"), clock=clock)
    submission = checked.submission
    identity = hashing.of_json([checked.fingerprint, submission.benchmark.fingerprint])
    answers = AnswerFolder.named(options.out, "submit", options.model, identity)
    answers.check()
    answers.check_answers()
    listener.stage("load")
    clock = template_clock.clock_for(answers.path, first=clock.instant)
    loaded = load(checked.source, chat_template=checked.template, clock=clock)
    with answers.open(clock, say=partial(listener.stage, "cache")) as (store, cache):
        responses = evaluator_of(loaded, store, cache, listener).answer_benchmark(submission.benchmark)
    texts, invalid = submission.texts(responses)
    with target.new() as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    counts = {file.file: submission.benchmark.sizes[part] for part, file in submission.files.items()}
    return SubmissionResult(options.to, answers.store, counts, invalid)
