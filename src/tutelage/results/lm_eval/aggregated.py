"""The document `results_TIME.json` (lm_eval/result_schema.py, evaluator.py, evaluator_utils.py, loggers/)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tutelage.core.version import __version__
from tutelage.results.lm_eval.evaluated_models import EvaluatedModel
from tutelage.results.lm_eval.harness_tree import GREEDY, HarnessGroup, HarnessTask

VERSION = "0.4.13"


def aggregated(
    model: EvaluatedModel,
    tasks: Sequence[HarnessTask],
    groups: Sequence[HarnessGroup],
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    """Build the document of one model.

    Args:
        model: the model.
        tasks: its tasks.
        groups: its groups.
        hashes: by task, the hash of all its samples.
    """
    nodes: list[HarnessTask | HarnessGroup] = sorted([*tasks, *groups], key=lambda node: node.name)
    group_values = {group.name: _group_values(group) for group in groups}
    return {
        "results": {**{task.name: _values(task, len(task.items)) for task in tasks}, **group_values},
        **({"groups": group_values} if groups else {}),
        "group_subtasks": {group.name: list(group.children) for group in groups},
        "configs": {node.name: _config(node) for node in nodes if isinstance(node, HarnessTask)},
        "versions": {node.name: node.version for node in nodes},
        "n-shot": {node.name: node.shots for node in nodes},
        "higher_is_better": {
            node.name: {metric.name: metric.higher_is_better for metric in node.metrics} for node in nodes
        },
        "n-samples": {task.name: {"original": task.original, "effective": len(task.items)} for task in tasks},
        "config": _run_config(model),
        "git_hash": model.provenance.get("git_commit"),
        "date": model.started,
        **_environment(model),
        "task_hashes": dict(hashes),
        **_model_facts(model),
        "total_evaluation_time_seconds": None if model.seconds is None else str(model.seconds),
    }


def _values(node: HarnessTask | HarnessGroup, count: int) -> dict[str, Any]:
    """Scores with their standard errors, by metric and filter ("none" is the only one)."""
    values: dict[str, Any] = {"name": node.name, "alias": node.alias, "sample_len": count}
    for metric in node.metrics:
        values[f"{metric.name},none"] = metric.value
        values[f"{metric.name}_stderr,none"] = (
            "N/A" if metric.standard_error is None else metric.standard_error
        )
    return values


def _group_values(group: HarnessGroup) -> dict[str, Any]:
    """A group's scores, and how many items each is made of."""
    counts = {f"{metric.name},none": len(metric.by_item) for metric in group.metrics}
    return {**_values(group, group.count), "sample_count": counts}


def _config(task: HarnessTask) -> dict[str, Any]:
    return {
        "task": task.name,
        "task_alias": task.alias,
        "output_type": "multiple_choice" if task.is_multiple_choice else "generate_until",
        "num_fewshot": task.shots,
        "repeats": 1,
        "should_decontaminate": False,
        # The metrics that every item has a value of: readers look for these in each sample.
        "metric_list": [
            {"metric": metric.name, "higher_is_better": metric.higher_is_better}
            for metric in task.metrics
            if len(metric.by_item) == len(task.items)
        ],
        **({} if task.is_multiple_choice else {"generation_kwargs": GREEDY}),
        "metadata": {"version": task.version},
    }


def _run_config(model: EvaluatedModel) -> dict[str, Any]:
    """How the evaluation was run; null for settings that have no counterpart here."""
    unknown = ("device", "use_cache", "limit", "bootstrap_iters", "gen_kwargs")
    seeds = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
    return {
        "model": "tutelage",
        "model_args": f"pretrained={model.model}",
        "batch_size": None,
        "batch_sizes": [],
        **dict.fromkeys((*unknown, *seeds)),
    }


def _environment(model: EvaluatedModel) -> dict[str, Any]:
    recorded = model.provenance.get("versions")
    versions = recorded if isinstance(recorded, Mapping) else {}
    lines = [f"tutelage: {__version__}", f"platform: {model.provenance.get('platform', 'not known')}"]
    lines += [f"{name}: {version}" for name, version in versions.items() if name != "tutelage"]
    return {
        "pretty_env_info": "\n".join(lines),
        "transformers_version": versions.get("transformers", "N/A"),
        "lm_eval_version": VERSION,
        "upper_git_hash": None,
    }


def _model_facts(model: EvaluatedModel) -> dict[str, Any]:
    return {
        "model_source": "tutelage",
        "model_name": model.model,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", model.model),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
    }
