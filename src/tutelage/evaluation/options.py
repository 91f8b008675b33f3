"""The options of an evaluation and of a submission, declared once: for Python, for the command line and for their documentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_type_hints

_Model = Annotated[str, "A hub id, a folder, a .gguf file, a run folder, or the bundled default's name."]
_ChatTemplate = Annotated[str | None, "A bundled chat template's name or a file; by default the model's own."]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What to evaluate, and how. Each field has its meaning, which is also its help on the command line.

    `help(tutelage.EvaluationOptions)` and `tutelage evaluate --help` list them all.
    """

    model: _Model
    benchmarks: Annotated[
        tuple[str, ...],
        "Names from `tutelage benchmarks list`, each with a variant behind a colon where it has several (mmlu:cloze, mmlu:all), "
        "or paths of your own specs.",
    ]
    limit: Annotated[
        int | None, "At most this many items of each part: a sample, the same for every model and variant."
    ] = None
    first: Annotated[bool, "With a limit: the first items of each part instead of a sample."] = False
    shots: Annotated[
        int | None,
        "Exemplars before each question, for benchmarks that have some; by default as many as the benchmark says.",
    ] = None
    against_base: Annotated[
        bool,
        "Evaluate what the model was tuned from as well, with the same chat template, and compare: the weights below its "
        "adapter, or, for a merged or fully tuned model, the base that its run names.",
    ] = False
    self_check: Annotated[
        bool,
        "Answer a few questions of each benchmark again, one at a time and without prefix sharing, and compare.",
    ] = False
    chat_template: _ChatTemplate = None
    data_dir: Annotated[Path | None, "Where benchmarks look for their files."] = None
    out: Annotated[
        Path | None, "The folder for responses and scores; runs/evaluate-MODEL-HASH by default."
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionOptions:
    """What is answered, and where the files go. Each field has its meaning, which is also its help on the command line."""

    model: _Model
    benchmark: Annotated[
        str,
        "A benchmark that has a leaderboard, glue or superglue, with a way behind a colon where it is not the usual one.",
    ]
    to: Annotated[Path, "The folder to write; an unchanged earlier one is replaced."]
    chat_template: _ChatTemplate = None
    data_dir: Annotated[Path | None, "Where the test rows are."] = None
    out: Annotated[Path | None, "The folder for responses; runs/submit-MODEL-HASH by default."] = None


def meaning(field: str, of: type = EvaluationOptions) -> str:
    """What a field of annotated options means, in a sentence."""
    text: str = get_type_hints(of, include_extras=True)[field].__metadata__[0]
    return text
