"""BIG-bench's tasks as the parts and items of a benchmark.

A task that is asked in two ways, by choices and by a text, has two parts; the one of its preferred score counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tutelage.benchmarks.bigbench.bigbench_spec import BigBenchSpec
from tutelage.benchmarks.bigbench.examples import Prompt, prompts
from tutelage.benchmarks.bigbench.task_file import (
    GENERATIVE,
    MULTIPLE_CHOICE,
    OTHER_CHOICE,
    BigBenchTask,
    TaskExample,
    read_tasks,
    task_folder,
    task_names,
)
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.output_cut import DEFAULT_PATTERN, OutputCut
from tutelage.benchmarks.spec import PartSpec
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Json

_GRADE = ("multiple_choice_grade", "choice_brier", "choice_ece")
_METRICS: Mapping[str, Sequence[str]] = {
    "multiple_choice_grade": _GRADE,
    "macro_f1": ("f1",),
    "exact_str_match": ("exact_str_match",),
    "case_insensitive_str_match": ("case_insensitive_str_match",),
    "numeric_match_with_0_1_relative_error": ("numeric_match",),
    "sequence_f1": ("sequence_f1",),
    "bleu": ("bleu:tokenize=intl",),
    "rouge": ("rouge1:stemmer=false", "rouge2:stemmer=false", "rougeLsum:stemmer=false"),
    "rouge1": ("rouge1:stemmer=false",),
    "rouge2": ("rouge2:stemmer=false",),
    "rougeLsum": ("rougeLsum:stemmer=false",),
    "log_likelihood": ("target_nats",),
}
"""Our metrics for each of BIG-bench's; the others are left out, with a note."""
_LEFT_OUT = {
    "bleurt": "bleurt is left out, because it needs a model of its own",
    "weighted_probabilities": "weighted_probabilities is left out: no such metric is in the catalogue",
    "weighted_log_probabilities": "weighted_log_probabilities is left out: no such metric is in the catalogue",
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "bleu": (0, 100),
    "sequence_f1": (0, 100),
    "log_likelihood": (10, 0),
}
"""The values that count as 0 and as 1, where they are not 0 and 1."""


@dataclass(frozen=True, slots=True)
class BigBenchParts:
    """The parts of a benchmark of BIG-bench's tasks.

    Attributes:
        specs: how each part is asked and scored.
        items: the items of each part, in the order of its file.
        missing: tasks that are not there.
        substitutes: parts that have some of their examples only.
        notes: what the user should know.
    """

    specs: Mapping[str, PartSpec]
    items: Mapping[str, Sequence[BenchmarkItem]]
    missing: tuple[str, ...]
    substitutes: tuple[str, ...]
    notes: tuple[str, ...]


def read_bigbench(
    spec: BigBenchSpec, data: Path | None, *, shots: int = 0, selected: Sequence[str] = ()
) -> BigBenchParts:
    """Read BIG-bench's tasks.

    Args:
        spec: which tasks, and where their folders may be.
        data: the data folder; None where there is none.
        shots: exemplars before each question, 0 to 3.
        selected: only these tasks or parts; all when empty.

    Returns:
        The parts; none where no task is there.

    Raises:
        InputError: there is no such part, or a task's file is not what it should be; InputErrors for several.
    """
    folders = spec.bigbench.folders
    names = list(spec.bigbench.tasks) or ([] if data is None else task_names(data, folders))
    specs: dict[str, PartSpec] = {}
    items: dict[str, list[BenchmarkItem]] = {}
    missing, substitutes, notes = [], [], []
    errors: list[InputError] = []
    known = dict.fromkeys(names)
    for name in names:
        if selected and not any(_is_of_task(part, name) for part in selected):
            continue
        folder = None if data is None else task_folder(data, folders, name)
        if folder is None:
            missing.append(name)
            continue
        try:
            tasks = read_tasks(folder)
            low = _low_of(tasks)
            for task in tasks:
                for part, part_spec, part_items in _parts_of(task, low, shots, spec.bigbench.max_new_tokens):
                    known[part] = None
                    if selected and not {part, task.parent} & {*selected}:
                        continue
                    specs[part], items[part] = part_spec, part_items
                    substitutes += [part] if task.substitute else []
                notes += [task.substitute] if task.substitute else []
                notes += _notes_on_metrics(task)
        except InputError as error:
            errors += error.mistakes
    unknown = [
        part
        for part in selected
        if part not in known and not any(_is_of_task(part, name) for name in missing)
    ]
    if names:
        errors += [
            unknown_name(f"{spec.name} has no such part", part, known, where="parts") for part in unknown
        ]
    raise_all(spec.name, errors[:MAX_MISTAKES])
    return BigBenchParts(specs, items, tuple(missing), tuple(substitutes), tuple(notes))


def _is_of_task(part: str, task: str) -> bool:
    return part == task or part.startswith(f"{task}.")


def _notes_on_metrics(task: BigBenchTask) -> Iterator[str]:
    """Which metrics are left out; a task whose preferred metric is left out counts in no average."""
    for metric in task.metrics:
        if metric not in _METRICS:
            consequence = ", and the task counts in no average" if metric == task.preferred else ""
            yield f"{task.name}: {_LEFT_OUT[metric]}{consequence}"


def _low_of(tasks: Sequence[BigBenchTask]) -> Mapping[str, float]:
    """What counts as 0 of each task: chance for multiple choice, else the table's value.

    Where all subtasks are multiple choice, their scores and chances are averaged before the one is set against the other: so all of
    them get the mean chance.
    """
    lows = {
        task.name: _chance(task) if task.preferred in MULTIPLE_CHOICE else _range(task)[0] for task in tasks
    }
    if all(task.preferred in MULTIPLE_CHOICE for task in tasks):
        return dict.fromkeys(lows, mean(lows.values()))
    return lows


def _chance(task: BigBenchTask) -> float:
    """The mean over examples of the mean target score of the choices."""
    return mean(sum(example.scores.values()) / len(example.scores) for example in task.examples)


def _range(task: BigBenchTask) -> tuple[float, float]:
    return _RANGES.get(task.preferred, (0.0, 1.0))


def _parts_of(
    task: BigBenchTask, lows: Mapping[str, float], shots: int, max_new_tokens: int
) -> Iterator[tuple[str, PartSpec, list[BenchmarkItem]]]:
    """The parts of a task: by choices, by a text, by the likelihood of the right answers; the preferred one has its name."""
    kinds = {
        "choices": [metric for metric in task.metrics if metric in (*MULTIPLE_CHOICE, *OTHER_CHOICE)],
        "text": [metric for metric in task.metrics if metric in GENERATIVE],
        "likelihood": [metric for metric in task.metrics if metric == "log_likelihood"],
    }
    rendered = list(prompts(task, shots))
    for kind, names in kinds.items():
        # rouge1, rouge2 and rougeLsum can be preferred where the task lists rouge.
        of_kind = task.preferred in names or (task.preferred.startswith("rouge") and "rouge" in names)
        counts = of_kind and task.preferred in _METRICS
        ordered = [task.preferred, *names] if counts else names
        metrics = [metric for name in ordered for metric in _METRICS.get(name, ())]
        if not metrics:
            continue
        name = task.name if counts else f"{task.name}.{kind}"
        part = PartSpec(
            title=" ".join(task.description.split())[:200] or task.name,
            kind="generate" if kind == "text" else "choose",
            max_new_tokens=max_new_tokens if kind == "text" else 0,
            extraction="verbatim" if kind == "text" else "whole",
            metrics=tuple(dict.fromkeys(metrics)),
            low=lows[task.name] if counts else 0.0,
            high=_range(task)[1],
            averaged=counts,
            group=tuple(dict.fromkeys([*_parent_group(task), *task.keywords])) if counts else (),
            fold=task.parent,
        )
        items = [
            _item(task, kind, f"{name}/{number}", example, prompt)
            for number, (example, prompt) in enumerate(zip(task.examples, rendered, strict=True))
        ]
        yield name, part, items


def _parent_group(task: BigBenchTask) -> list[str]:
    return [] if task.parent == task.name else [task.parent]


def _item(task: BigBenchTask, kind: str, item_id: str, example: TaskExample, prompt: Prompt) -> BenchmarkItem:
    choices: tuple[str, ...] = ()
    if kind == "choices":
        choices = tuple(example.scores)
    elif kind == "likelihood":
        choices = example.targets
    scores: list[Json] = [*example.scores.values()] if kind == "choices" else []
    best = [choice for choice, score in example.scores.items() if score == max(example.scores.values())]
    return BenchmarkItem(
        id=item_id,
        part=item_id.rpartition("/")[0],
        prompt=prompt.question,
        choices=choices,
        references=tuple(best[:1]) if kind == "choices" else example.targets,
        extraction="verbatim" if kind == "text" else "",
        form="text",
        before=task.setting("task_prefix", ""),
        exemplars=prompt.exemplars,
        between=task.setting("few_shot_example_separator", "\n"),
        fields={"target_scores": scores} if scores else {},
        output=_output(task) if kind == "text" else None,
    )


def _output(task: BigBenchTask) -> OutputCut:
    stop, pattern = task.setting("stop_string", ""), task.setting("output_regex", "")
    return OutputCut(stop, pattern or ("" if stop else DEFAULT_PATTERN))
