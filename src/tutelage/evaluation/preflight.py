"""Checks everything that an evaluation or a submission needs before weights are loaded, and reports all mistakes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from tutelage import benchmarks as library
from tutelage.benchmarks import Benchmark, Limit
from tutelage.benchmarks.fit import fit_to_context
from tutelage.benchmarks.submission import Submission, load_submission
from tutelage.core import files, outputs
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.engine import RequestEncoder
from tutelage.evaluation.options import EvaluationOptions, SubmissionOptions
from tutelage.metrics import Row
from tutelage.metrics.self_scores import shortfalls
from tutelage.models import LoadedTokenizer, ModelSource, base_of, load_tokenizer, loaded_fingerprint, resolve
from tutelage.tokens import chat_templates

_T = TypeVar("_T")
_NO_BASE = "leave --against away; evaluate the base by its own name, then `tutelage compare` the two folders"
_BYTES_PER_ITEM = 2000
"""Bytes of an item in results.sqlite beside its texts: identity, answer, scores."""


@dataclass(frozen=True, slots=True)
class CheckedEvaluation:
    """An evaluation whose data, requests and model files are good: only the weights are not loaded.

    Attributes:
        source: the model's files.
        template: the text of the chat template that was asked for; None for the model's own.
        benchmarks: the benchmarks, with as many exemplars as fit the model.
        fingerprint: of the model as it will be loaded.
        legacy_fingerprint: the same as older versions computed it, without the generation settings.
        base: the base model, when it is evaluated too and is not below an adapter: it is loaded after the model.
    """

    source: ModelSource
    template: str | None
    benchmarks: tuple[Benchmark, ...]
    fingerprint: str
    legacy_fingerprint: str
    base: ModelSource | None = None


@dataclass(frozen=True, slots=True)
class CheckedSubmission:
    """A submission whose test rows, requests and model files are good: only the weights are not loaded.

    Attributes:
        source: the model's files.
        template: the text of the chat template that was asked for; None for the model's own.
        submission: the test rows as questions that fit the model, and the leaderboard's files.
        fingerprint: of the model as it will be loaded.
    """

    source: ModelSource
    template: str | None
    submission: Submission
    fingerprint: str


class _Mistakes:
    """Collects input errors instead of stopping at the first."""

    def __init__(self) -> None:
        self.errors: list[InputError] = []

    def attempt(self, do: Callable[[], _T]) -> _T | None:
        """The result of a call; None when it raises."""
        try:
            return do()
        except InputError as error:
            self.errors += error.mistakes
        return None

    def attempt_all(self, calls: Iterable[Callable[[], _T]]) -> list[_T]:
        """The results of those calls that do not raise."""
        return [result for call in calls if (result := self.attempt(call)) is not None]


def check_evaluation(
    options: EvaluationOptions, *, say: Callable[[str], None], clock: Clock | None = None
) -> CheckedEvaluation:
    """Find, read and check all that an evaluation needs, except for the weights.

    Args:
        options: what is evaluated.
        say: takes a line about each thing that takes long.
        clock: what the chat template reads when it asks for the time.

    Raises:
        InputError: something is wrong with the model, the data, the requests or their lengths; InputErrors for several.
        MachineError: there is too little room on the disk.
    """
    mistakes = _Mistakes()
    names = mistakes.attempt(lambda: _benchmark_names(options.benchmarks)) or []
    benchmarks = mistakes.attempt_all(partial(_load_benchmark, name, options) for name in names)
    mistakes.attempt(partial(_require_distinct_names, benchmarks))
    tokenizer = base = None
    template = mistakes.attempt(partial(_template_text, options.chat_template))
    source = mistakes.attempt(lambda: resolve(options.model, say=say))
    if source is not None:
        if options.against_base and source.base is None:
            base = mistakes.attempt(partial(base_of, source, say=say, fix=_NO_BASE))
        tokenizer = mistakes.attempt(partial(load_tokenizer, source, chat_template=template, clock=clock))
    if tokenizer is not None:
        benchmarks = mistakes.attempt_all(
            partial(fit_benchmark, benchmark, tokenizer) for benchmark in benchmarks
        )
    raise_all("the evaluation", mistakes.errors[:MAX_MISTAKES])
    for note in (note for benchmark in benchmarks for note in reference_notes(benchmark)):
        say(note)
    assert source is not None
    assert tokenizer is not None
    _require_space(options.out, benchmarks)
    return CheckedEvaluation(
        source,
        template,
        tuple(benchmarks),
        loaded_fingerprint(source, tokenizer.chat_template),
        loaded_fingerprint(source, tokenizer.chat_template, settings=False),
        base,
    )


def check_submission(
    options: SubmissionOptions, target: outputs.Folder, *, say: Callable[[str], None], clock: Clock
) -> CheckedSubmission:
    """Find, read and check all that a submission needs, except for the weights.

    Args:
        options: what is answered.
        target: the folder of the leaderboard's files.
        say: takes a line about each thing that takes long.
        clock: what the chat template reads when it asks for the time.

    Raises:
        InputError: something is wrong with the model, the test rows, their lengths or the folder; InputErrors for several.
        MachineError: there is too little room on the disk.
    """
    mistakes = _Mistakes()
    submission = mistakes.attempt(
        lambda: load_submission(options.benchmark, data=options.data_dir, root=Path.cwd())
    )
    mistakes.attempt(target.check)
    tokenizer = None
    template = mistakes.attempt(partial(_template_text, options.chat_template))
    source = mistakes.attempt(lambda: resolve(options.model, say=say))
    if source is not None:
        tokenizer = mistakes.attempt(partial(load_tokenizer, source, chat_template=template, clock=clock))
    benchmark = None
    if submission is not None and tokenizer is not None:
        benchmark = mistakes.attempt(partial(fit_benchmark, submission.benchmark, tokenizer))
    raise_all("the submission", mistakes.errors[:MAX_MISTAKES])
    assert source is not None
    assert submission is not None
    assert tokenizer is not None
    assert benchmark is not None
    _require_space(options.out, [benchmark])
    return CheckedSubmission(
        source,
        template,
        replace(submission, benchmark=benchmark),
        loaded_fingerprint(source, tokenizer.chat_template),
    )


def reference_notes(benchmark: Benchmark) -> list[str]:
    """The metrics of a person's own benchmark that give its generated parts' right answers less than full marks.

    Bundled ones are tested, and score some answers in forms that a right answer has not.
    """
    if benchmark.name.partition(":")[0] in library.names():
        return []
    notes = []
    for part in benchmark.parts:
        items = [
            item for item in benchmark.items if item.part == part and item.extraction and not item.pattern
        ]
        rows = [Row("", item.references, item.fields) for item in items]
        notes += [
            f"{benchmark.name}, {part}: {found.sentence}"
            for found in shortfalls(benchmark.metrics_of(part), rows)
        ]
    return notes


def fit_benchmark(benchmark: Benchmark, tokenizer: LoadedTokenizer, *, reserved: int = 0) -> Benchmark:
    """The benchmark with as many exemplars before each question as the model's context takes.

    Args:
        benchmark: the benchmark with all its exemplars.
        tokenizer: the model's.
        reserved: virtual tokens that take room in the context.

    Raises:
        InputError: the benchmark needs a chat template and the model has none, or a question is too long for it.
    """
    has_chat = tokenizer.encoder_decoder or tokenizer.chat_template
    if not has_chat and any(item.form == "chat" for item in benchmark.items):
        raise InputError(
            "the benchmark is asked in a conversation, and the model has no chat template",
            where=benchmark.name,
            expected="a chat template, or a benchmark of form: text",
            fix="name one with --chat-template",
        )
    encoder = RequestEncoder(tokenizer.tokenizer, encoder_decoder=tokenizer.encoder_decoder)
    # Encoder and decoder of an encoder-decoder model have limits of their own, and most have none.
    limited = tokenizer.context is not None and not tokenizer.encoder_decoder
    return fit_to_context(
        benchmark, encoder.lengths, (tokenizer.context or 0) - reserved if limited else None
    )


def _template_text(name: str | None) -> str | None:
    return None if name is None else chat_templates.template_text(name, root=Path.cwd())


def _require_space(out: Path | None, benchmarks: Sequence[Benchmark]) -> None:
    size = sum(_BYTES_PER_ITEM + 2 * len(item.prompt) for benchmark in benchmarks for item in benchmark.items)
    files.require_space(out or Path("runs"), size, subject="the responses")


def _benchmark_names(patterns: Sequence[str]) -> list[str]:
    names = [name for pattern in patterns for name in library.ways(pattern, root=Path.cwd())]
    if not names:
        raise InputError("no benchmark is named", where="--benchmark", expected=", ".join(library.names()))
    return list(dict.fromkeys(names))


def _require_distinct_names(benchmarks: Sequence[Benchmark]) -> None:
    """Scores are kept by name, so two specs of one name would replace each other's."""
    fingerprints: dict[str, set[str]] = {}
    for benchmark in benchmarks:
        fingerprints.setdefault(benchmark.name, set()).add(benchmark.fingerprint)
    if repeated := [name for name, different in fingerprints.items() if len(different) > 1]:
        raise InputError(
            "different benchmarks have the same name",
            where="--benchmark",
            found=", ".join(repeated),
            fix="change `name` in one of the specs, or evaluate them one after the other",
        )


def _load_benchmark(name: str, options: EvaluationOptions) -> Benchmark:
    spec = library.describe(name, root=Path.cwd())
    # Several benchmarks share the option, and some have no exemplars.
    shots = options.shots if spec.has_exemplars else None
    limit = Limit(options.limit, first=options.first)
    return library.load(name, data=options.data_dir, limit=limit, shots=shots, root=Path.cwd())
