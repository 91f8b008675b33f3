"""How tasks of lm-evaluation-harness read and score answers, in the fields of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tutelage.benchmarks.lm_eval.harness_task import HarnessTask

_CHOICE_METRICS = {
    "acc": "accuracy",
    "acc_norm": "choice_accuracy:by=characters",
    "acc_bytes": "choice_accuracy:by=bytes",
    "mcc": "mcc",
}
"""Metrics of multiple_choice, and ours that are equal."""
_NEUTRAL_SETTINGS = {"aggregation": ("mean", "matthews_corrcoef"), "higher_is_better": (True,)}
_MAX_NEW_TOKENS = 256
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_IGNORED = {"ignore_case": "case", "ignore_punctuation": "punctuation", "ignore_numbers": "numbers"}


def choice_metrics(task: HarnessTask) -> list[str]:
    """The metrics of a task of choices; by default accuracy as it is and per character, as in lm-eval."""
    metrics = []
    for index, (name, settings) in enumerate(_metrics(task, ("acc", "acc_norm"))):
        _require_neutral(task, index, settings)
        if name not in _CHOICE_METRICS:
            task.refuse(f"metric_list.{index}", ", ".join(_CHOICE_METRICS), value=name)
        else:
            metrics.append(_CHOICE_METRICS[name])
    return metrics or ["accuracy"]


def generated_answers(task: HarnessTask) -> Iterator[tuple[str, Any]]:
    """The fields of a task whose answers are generated: their ends, how they are read, and one way for each filter."""
    yield from _generation(task)
    entries = list(_metrics(task, ("exact_match",)))
    for index, (name, _) in enumerate(entries):
        if name != "exact_match" or index:
            task.refuse(f"metric_list.{index}", "exact_match, once", value=name)
    comparison = _comparison(task, entries[0][1] if entries else {})
    yield "metrics", ["exact_match"]
    filters = task.fields.get("filter_list")
    if filters is None:
        yield "reading", comparison
        return
    ways = {}
    for index, entry in enumerate(filters if isinstance(filters, list) else ()):
        way = entry.get("name") if isinstance(entry, Mapping) else None
        steps = entry.get("filter") if isinstance(entry, Mapping) else None
        if not isinstance(way, str) or not isinstance(steps, list):
            task.refuse(f"filter_list.{index}", "name, and filter: a list of functions", value=entry)
            continue
        ways[way] = {"title": f"filter {way}", "reading": {**comparison, **_reading(task, index, steps)}}
    if not isinstance(filters, list) or not filters:
        task.refuse("filter_list", "a list of filters")
    elif len(ways) == 1:
        (settings,) = ways.values()
        yield "reading", settings["reading"]
    else:
        yield "ways", ways


def _metrics(task: HarnessTask, default: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The names of metrics, and their settings."""
    entries = task.fields.get("metric_list")
    if entries is None:
        yield from ((name, {}) for name in default)
        return
    if not isinstance(entries, list) or not entries:
        task.refuse("metric_list", "a list of metrics")
        return
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("metric"), str):
            task.refuse(f"metric_list.{index}", "metric: NAME", value=entry)
            continue
        yield entry["metric"], {name: value for name, value in entry.items() if name != "metric"}


def _require_neutral(task: HarnessTask, index: int, settings: Mapping[str, Any]) -> None:
    """Refuse settings of a metric that would change its value."""
    for name, value in settings.items():
        if value not in _NEUTRAL_SETTINGS.get(name, ()):
            task.refuse(
                f"metric_list.{index}.{name}", "aggregation: mean, higher_is_better: true", value=value
            )


def _comparison(task: HarnessTask, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What exact_match ignores."""
    others = {name: value for name, value in settings.items() if name not in (*_IGNORED, "regexes_to_ignore")}
    _require_neutral(task, 0, others)
    comparison: dict[str, Any] = {}
    if removed := settings.get("regexes_to_ignore"):
        comparison["remove"] = removed
    if ignored := [ours for theirs, ours in _IGNORED.items() if settings.get(theirs)]:
        comparison["ignore"] = ignored
    return comparison


def _reading(task: HarnessTask, index: int, steps: list[Any]) -> dict[str, Any]:
    """What a filter takes out of the text: at most one regular expression, and space around the text before it."""
    reading: dict[str, Any] = {}
    for number, step in enumerate(steps):
        function = step.get("function") if isinstance(step, Mapping) else None
        where = f"filter_list.{index}.filter.{number}"
        if function == "regex" and "pattern" not in reading:
            reading |= _regex(task, where, step)
        elif function == "remove_whitespace":
            reading["strip"] = True
        elif function != "take_first":
            task.refuse(where, "regex (once), remove_whitespace or take_first", value=function)
    return reading


def _regex(task: HarnessTask, where: str, step: Mapping[str, Any]) -> dict[str, Any]:
    for name in step.keys() - {"function", "regex_pattern", "group_select", "fallback"}:
        task.refuse(f"{where}.{name}", "regex_pattern, group_select, fallback", value=step[name])
    select = step.get("group_select", 0)
    if select not in (0, -1):
        task.refuse(f"{where}.group_select", "0 or -1", value=select)
    return {
        "pattern": step.get("regex_pattern", r"#### (\-?[0-9\.\,]+)"),
        "take": "last" if select == -1 else "first",
        "missing": step.get("fallback", "[invalid]"),
    }


def _generation(task: HarnessTask) -> Iterator[tuple[str, Any]]:
    """The ends of answers; what is not greedy is refused."""
    settings = task.fields.get("generation_kwargs") or {}
    if not isinstance(settings, Mapping):
        task.refuse("generation_kwargs", "fields")
        return
    sampled = settings.get("do_sample") or (settings.get("do_sample") is None and settings.get("temperature"))
    if sampled:
        task.refuse("generation_kwargs.do_sample", "false: answers are greedy", value=sampled)
    for name in settings.keys() - {"until", "do_sample", "temperature", *_LENGTHS}:
        task.refuse(
            f"generation_kwargs.{name}", "until, max_gen_toks, do_sample: false", value=settings[name]
        )
    until = settings.get("until", [task.fields.get("fewshot_delimiter", "\n\n")])
    yield "stop", [until] if isinstance(until, str) else until or []
    length = next((settings[name] for name in _LENGTHS if settings.get(name) is not None), _MAX_NEW_TOKENS)
    yield "max_new_tokens", length
