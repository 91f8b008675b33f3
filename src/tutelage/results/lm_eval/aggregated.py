"""`results_TIME.json`: what lm_eval/evaluator_utils.py, evaluator.py and loggers/ put into it (lm_eval/result_schema.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tutelage.core.version import __version__
from tutelage.results.lm_eval.evaluated_models import Side
from tutelage.results.lm_eval.tasks import GREEDY, Group, Measured, Task

VERSION = "0.4.13"


def aggregated(side: Side, found: Measured, hashes: Mapping[str, str]) -> dict[str, Any]:
    """The document of one model.

    Args:
        side: whose it is.
        found: what it was asked.
        hashes: by task, of all its items.
    """
    tasks = sorted(found.tasks, key=lambda task: task.name)
    both: list[Task | Group] = sorted([*tasks, *found.groups], key=lambda one: one.name)
    groups = {one.name: _group(one) for one in found.groups}
    return {
        "results": {**{task.name: _values(task, len(task.items)) for task in found.tasks}, **groups},
        **({"groups": groups} if groups else {}),
        "group_subtasks": {one.name: list(one.children) for one in found.groups},
        "configs": {task.name: _config(task) for task in tasks},
        "versions": {one.name: one.version for one in both},
        "n-shot": {one.name: one.shots for one in both},
        "higher_is_better": {
            one.name: {metric.name: metric.higher_is_better for metric in one.metrics} for one in both
        },
        "n-samples": {
            task.name: {"original": task.original, "effective": len(task.items)} for task in found.tasks
        },
        "config": _run(side),
        "git_hash": side.provenance.get("git_commit"),
        "date": side.started,
        **_environment(side),
        "task_hashes": dict(hashes),
        **_model(side),
        "total_evaluation_time_seconds": None if side.seconds is None else str(side.seconds),
    }


def _values(one: Task | Group, count: int) -> dict[str, Any]:
    """Values with their standard errors, by metric and filter."""
    found: dict[str, Any] = {"name": one.name, "alias": one.alias, "sample_len": count}
    for metric in one.metrics:
        found[f"{metric.name},none"] = metric.value
        found[f"{metric.name}_stderr,none"] = "N/A" if metric.error is None else metric.error
    return found


def _group(group: Group) -> dict[str, Any]:
    """A group's values, and how many items stand behind each."""
    counts = {f"{metric.name},none": len(metric.by_item) for metric in group.metrics}
    return {**_values(group, group.count), "sample_count": counts}


def _config(task: Task) -> dict[str, Any]:
    return {
        "task": task.name,
        "task_alias": task.alias,
        "output_type": "multiple_choice" if task.chooses else "generate_until",
        "num_fewshot": task.shots,
        "repeats": 1,
        "should_decontaminate": False,
        "metric_list": _listed(task),
        **({} if task.chooses else {"generation_kwargs": GREEDY}),
        "metadata": {"version": task.version},
    }


def _listed(task: Task) -> list[dict[str, Any]]:
    """The metrics that every item has: readers look these up in each sample."""
    return [
        {"metric": metric.name, "higher_is_better": metric.higher_is_better}
        for metric in task.metrics
        if len(metric.by_item) == len(task.items)
    ]


def _run(side: Side) -> dict[str, Any]:
    """How it was run; what has no meaning here is null."""
    unknown = ("device", "use_cache", "limit", "bootstrap_iters", "gen_kwargs")
    seeds = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
    return {
        "model": "tutelage",
        "model_args": f"pretrained={side.model}",
        "batch_size": None,
        "batch_sizes": [],
        **dict.fromkeys((*unknown, *seeds)),
    }


def _environment(side: Side) -> dict[str, Any]:
    versions = side.provenance.get("versions")
    known = versions if isinstance(versions, Mapping) else {}
    said = [f"tutelage: {__version__}", f"platform: {side.provenance.get('platform', 'not known')}"]
    said += [f"{name}: {version}" for name, version in known.items() if name != "tutelage"]
    return {
        "pretty_env_info": "\n".join(said),
        "transformers_version": known.get("transformers", "N/A"),
        "lm_eval_version": VERSION,
        "upper_git_hash": None,
    }


def _model(side: Side) -> dict[str, Any]:
    return {
        "model_source": "tutelage",
        "model_name": side.model,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", side.model),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
    }
