"""The task.json of a BIG-bench task: read, checked, its equal examples dropped, its subtasks beside it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.core import regular
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.strictjson import json_kind, shorten

MULTIPLE_CHOICE = ("multiple_choice_grade",)
GENERATIVE = (
    "exact_str_match",
    "case_insensitive_str_match",
    "numeric_match_with_0_1_relative_error",
    "bleu",
    "rouge",
    "sequence_f1",
)
SCORING = ("log_likelihood",)
OTHER_CHOICE = ("macro_f1", "weighted_probabilities", "weighted_log_probabilities")
_METRICS = (*MULTIPLE_CHOICE, *OTHER_CHOICE, *GENERATIVE, *SCORING, "bleurt")
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class TaskExample:
    """An example: its input, the right answers, and for multiple choice the score of each choice."""

    text: str
    targets: tuple[str, ...]
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BigBenchTask:
    """A task, or a subtask of one.

    Attributes:
        name: the name of its folder; of a subtask, with that of the task before it.
        parent: the task that it is a subtask of, or its own name.
        description: what it asks, for people.
        keywords: its subjects and kinds, of a subtask those of the task.
        metrics: the names of its metrics, as it lists them.
        preferred: the metric that counts.
        examples: its examples, without those that equal an earlier one.
        settings: its further settings: prefixes, separator, stop string, pattern.
        substitute: why these are not all of its examples; "" where they are.
    """

    name: str
    parent: str
    description: str
    keywords: tuple[str, ...]
    metrics: tuple[str, ...]
    preferred: str
    examples: tuple[TaskExample, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    substitute: str = ""

    def setting(self, name: str, default: str) -> str:
        """A text among the settings."""
        value = self.settings.get(name, default)
        return value if isinstance(value, str) else default

    @property
    def appends_choices(self) -> bool:
        """Whether the choices stand behind the question. Any text counts as true, as in the reference program."""
        return bool(self.settings.get("append_choices_to_input", True))


def task_folder(root: Path, folders: Sequence[str], name: str) -> Path | None:
    """The folder of a task in the first of the folders that has it."""
    candidates = [root / folder / name for folder in folders]
    return next((path for path in candidates if task_file(path) is not None), None)


def task_names(root: Path, folders: Sequence[str]) -> list[str]:
    """The names of all tasks in these folders, sorted."""
    present = [root / folder for folder in folders if (root / folder).is_dir()]
    return sorted(
        {path.name for folder in present for path in folder.iterdir() if task_file(path) is not None}
    )


def task_file(folder: Path) -> Path | None:
    """The task.json of a folder, as it is or compressed; a file with a part of the examples where there is no other."""
    whole = (folder / "task.json", folder / "task.json.gz")
    parts = sorted(folder.glob("task.*.json.gz")) if folder.is_dir() else []
    return next((path for path in (*whole, *parts) if path.is_file()), None)


def read_tasks(folder: Path) -> list[BigBenchTask]:
    """Read a task, or the subtasks of one.

    Raises:
        InputError: the file is no task, with the field; InputErrors for several.
    """
    path = task_file(folder)
    assert path is not None
    document = _document(path)
    if "examples" in document:
        return [_task(path, document, folder.name, folder.name, _texts(document.get("keywords")))]
    subfolders = sorted(child for child in folder.iterdir() if task_file(child) is not None)
    if not subfolders:
        raise InputError(
            "the task has neither examples nor subtasks",
            where=str(path),
            expected="the field examples, or folders with a task.json of their own",
        )
    keywords = _texts(document.get("keywords"))
    tasks = []
    for child in subfolders:
        child_path = task_file(child)
        assert child_path is not None
        name = f"{folder.name}.{child.name}"
        tasks.append(_task(child_path, _document(child_path), name, folder.name, keywords))
    return tasks


def _document(path: Path) -> dict[str, Any]:
    content = regular.read_regular(path, subject="the task", limit=_MAX_BYTES)
    try:
        document = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise InputError("the task is no JSON", where=str(path), found=str(error)[:200]) from None
    if not isinstance(document, dict):
        raise InputError(
            "the task is no JSON object", where=str(path), found=json_kind(document), expected="an object"
        )
    return document


def _task(
    path: Path, document: Mapping[str, Any], name: str, parent: str, keywords: tuple[str, ...]
) -> BigBenchTask:
    errors: list[InputError] = []
    metrics = _texts(document.get("metrics"))
    preferred = document.get("preferred_score")
    for metric in [*metrics, *([] if metrics else ["no metrics"])]:
        if metric not in _METRICS:
            errors.append(
                InputError(
                    "the task has a metric that is not known",
                    where=f"{path}: metrics",
                    found=shorten(metric),
                    expected=", ".join(_METRICS),
                )
            )
    if not isinstance(preferred, str) or preferred not in [*metrics, "rouge1", "rouge2", "rougeLsum"]:
        errors.append(
            InputError(
                "the preferred score is none of the task's metrics",
                where=f"{path}: preferred_score",
                found=shorten(str(preferred)),
                expected=", ".join(metrics) or "one of its metrics",
            )
        )
    examples = _examples(path, document.get("examples"), metrics, errors)
    raise_all(str(path), errors[:MAX_MISTAKES])
    partial = path.name not in ("task.json", "task.json.gz")
    return BigBenchTask(
        name=name,
        parent=parent,
        description=str(document.get("description", "")),
        keywords=keywords or _texts(document.get("keywords")),
        metrics=metrics,
        preferred=str(preferred),
        examples=examples,
        settings={key: value for key, value in document.items() if key not in ("examples", "canary")},
        substitute=f"{name}: {path.name} has a part of its examples" if partial else "",
    )


def _examples(
    path: Path, value: object, metrics: Sequence[str], errors: list[InputError]
) -> tuple[TaskExample, ...]:
    if not isinstance(value, list) or not value:
        errors.append(InputError("the task has no examples", where=f"{path}: examples", expected="a list"))
        return ()
    distinct = {
        json.dumps(example): (number, example) for number, example in reversed(list(enumerate(value)))
    }
    examples = []
    for number, example in sorted(distinct.values(), key=lambda pair: pair[0]):
        try:
            examples.append(_example(example, metrics, f"{path}: examples.{number}"))
        except InputError as error:
            errors.append(error)
    return tuple(examples)


def _example(value: Any, metrics: Sequence[str], where: str) -> TaskExample:
    def mistake(field_name: str, expected: str) -> InputError:
        found = value.get(field_name) if isinstance(value, dict) else value
        return InputError(
            "the example is not as BIG-bench's tasks have it",
            where=f"{where}.{field_name}",
            found="no such field" if found is None else f"{json_kind(found)}: {shorten(str(found))}",
            expected=expected,
        )

    if not isinstance(value, dict) or not isinstance(value.get("input"), str):
        raise mistake("input", "a text")
    scores = value.get("target_scores")
    targets = value.get("target")
    if scores is not None and not _are_scores(scores):
        raise mistake("target_scores", "choices with a score each, at least one above the others")
    if set(metrics) & {*MULTIPLE_CHOICE, *OTHER_CHOICE} and scores is None:
        raise mistake("target_scores", "choices with a score each, which the task's metrics need")
    if targets is None and scores is not None and not set(metrics) & {*GENERATIVE, *SCORING}:
        targets = next(choice for choice, score in scores.items() if score == max(scores.values()))
    texts = [targets] if isinstance(targets, str) else targets
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise mistake("target", "a text, or a list of texts")
    return TaskExample(value["input"], tuple(map(str, texts)), dict(scores or {}))


def _are_scores(value: object) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    numbers = [
        score for score in value.values() if isinstance(score, int | float) and not isinstance(score, bool)
    ]
    if len(numbers) < len(value):
        return False
    return max(numbers) > min(numbers) or (len(numbers) == 1 and numbers[0] != 0)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
