"""Evaluations in the layout of lm-evaluation-harness 0.4.13: `results_TIME.json`, and `samples_TASK_TIME.jsonl` with every item.

A benchmark is a group there, each of its parts a task. Prompts are the questions without their worked examples, as they are kept here;
whether a choice was the greedy continuation is not known and says None.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.files import new_folder
from tutelage.core.nouns import Response
from tutelage.metrics.score import Scored
from tutelage.results.evaluation import Evaluation, Item

VERSION = "0.4.13"
NAMES = {
    "accuracy": "acc",
    "choice_accuracy": "acc",
    "choice_accuracy:by=characters": "acc_norm",
    "choice_accuracy:by=bytes": "acc_bytes",
    "bbh:mode=cot": "exact_match",
    "bbh:mode=direct": "exact_match",
}
"""Their names of metrics; one that has none keeps its own."""


@dataclass(frozen=True, slots=True)
class Task:
    """A part of a benchmark as a task there."""

    name: str
    group: str
    metrics: Mapping[str, tuple[Scored, tuple[str, ...]]]
    items: Sequence[Item]
    original: int
    version: int


def write(
    folder: Path,
    evaluations: Sequence[Evaluation],
    told: Mapping[str, Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> list[str]:
    """Write evaluations of benchmarks into a new folder, whole or not at all; gives the files' names.

    Args:
        folder: must not be there, or be empty.
        evaluations: scored ones.
        told: by benchmark, what `evaluation.json` says of it.
        provenance: of the evaluation or run.

    Raises:
        InputError: the folder holds something.
        MachineError: the disk does not take it.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(
            "the folder is in use",
            where=str(folder),
            expected="no such folder, or an empty one",
            fix="name another with --to",
        )
    time = re.sub(":", "-", str(provenance.get("ended") or provenance.get("started") or ""))
    with new_folder(folder) as made:
        tasks = [(one, task) for one in evaluations for task in _tasks(one, told.get(one.name, {}))]
        results = _results([task for _, task in tasks], evaluations, provenance)
        (made / f"results_{time}.json").write_text(
            json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
        for one, task in tasks:
            lines = [json.dumps(sample, ensure_ascii=False) for sample in _samples(task, one.responses())]
            (made / f"samples_{task.name}_{time}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        return sorted(path.name for path in made.iterdir())


def _tasks(evaluation: Evaluation, told: Mapping[str, Any]) -> Iterator[Task]:
    """Each part that items are of; the whole, where there are no parts."""
    items = evaluation.items()
    parts = [part for part in dict.fromkeys(item.part for item in items) if part in evaluation.parts()]
    for part in parts or [""]:
        own = [item for item in items if item.part == part or not part]
        sizes: Mapping[str, int] = told.get("sizes", {})
        yield Task(
            name=_plain(f"{evaluation.name}_{part}" if part else evaluation.name),
            group=_plain(evaluation.name),
            metrics=evaluation.item_scores(part),
            items=own,
            original=int(sizes.get(part, len(own))),
            version=int(told.get("version", 1)),
        )


def _results(
    tasks: Sequence[Task], evaluations: Sequence[Evaluation], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    groups = {_plain(one.name): one for one in evaluations}
    versions = provenance.get("versions", {})
    begun = _moment(provenance.get("started"))
    ended = _moment(provenance.get("ended"))
    return {
        "results": {
            task.name: _values(task.name, task.name, task.metrics, len(task.items)) for task in tasks
        },
        "groups": {
            name: _values(name, name, one.item_scores(), len(one.items())) for name, one in groups.items()
        },
        "group_subtasks": {name: [task.name for task in tasks if task.group == name] for name in groups},
        "configs": {
            task.name: {
                "task": task.name,
                "output_type": "multiple_choice"
                if any("choices" in item.fields for item in task.items)
                else "generate_until",
                "num_fewshot": _shots(task.items),
                "metadata": {"version": task.version},
            }
            for task in tasks
        },
        "versions": {task.name: task.version for task in tasks},
        "n-shot": {task.name: _shots(task.items) for task in tasks},
        "higher_is_better": {
            task.name: {
                _named(metric): scored.higher_is_better for metric, (scored, _) in task.metrics.items()
            }
            for task in tasks
        },
        "n-samples": {task.name: {"original": task.original, "effective": len(task.items)} for task in tasks},
        "config": {
            "model": "tutelage",
            "model_args": str(provenance.get("model", "")),
            "batch_size": None,
            "limit": None,
        },
        "git_hash": None,
        "date": begun,
        "transformers_version": versions.get("transformers"),
        "lm_eval_version": VERSION,
        "task_hashes": {},
        "model_source": "tutelage",
        "model_name": str(provenance.get("model", "")),
        "model_name_sanitized": _plain(str(provenance.get("model", ""))),
        "total_evaluation_time_seconds": None if begun is None or ended is None else str(ended - begun),
    }


def _values(
    name: str, alias: str, metrics: Mapping[str, tuple[Scored, tuple[str, ...]]], count: int
) -> dict[str, Any]:
    """A task's values with their standard errors, by their key of metric and filter."""
    found: dict[str, Any] = {"name": name, "alias": alias, "sample_len": count}
    for metric, (scored, _) in metrics.items():
        found[f"{_named(metric)},none"] = scored.score.value
        found[f"{_named(metric)}_stderr,none"] = _error(scored)
    return found


def _error(scored: Scored) -> float | str:
    """The standard error of a mean over items; theirs says N/A where there is none."""
    values = [float(value) for value in scored.items]
    if len(values) < 2 or any(math.isnan(value) for value in values):
        return "N/A"
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def _samples(task: Task, responses: Mapping[str, Response]) -> Iterator[dict[str, Any]]:
    values = {
        _named(metric): dict(zip(ids, scored.items.tolist(), strict=True))
        for metric, (scored, ids) in task.metrics.items()
    }
    for number, item in enumerate(task.items):
        response = responses[item.id]
        doc = {"id": item.id, "question": item.prompt, **item.fields}
        choices = item.fields.get("choices")
        if isinstance(choices, list):
            arguments = [[item.prompt, str(choice)] for choice in choices]
            given: list[Any] = [[str(value), "None"] for value in response.logprobs]
        else:
            arguments, given = [[item.prompt, "{}"]], [response.text]
        target = item.references[0] if item.references else ""
        metrics = {name: own[item.id] for name, own in values.items() if item.id in own}
        yield {
            "doc_id": number,
            "doc": doc,
            "target": target,
            "arguments": {
                f"gen_args_{i}": {f"arg_{j}": text for j, text in enumerate(pair)}
                for i, pair in enumerate(arguments)
            },
            "resps": [[one] for one in given],
            "filtered_resps": given,
            "filter": "none",
            "metrics": list(metrics),
            "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": _hash(item.prompt),
            "target_hash": _hash(target),
            **metrics,
        }


def _shots(items: Sequence[Item]) -> int:
    return max((int(str(item.fields.get("shots", 0))) for item in items), default=0)


def _named(metric: str) -> str:
    return NAMES.get(metric, metric)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _moment(time: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return None
