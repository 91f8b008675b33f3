"""Contradictions between parts of a recipe that are right by themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tutelage.config import method_fields
from tutelage.config.data_block import Data
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.yamltext import FieldPath

Where = Callable[[FieldPath], str]

_WORDED = 2_000
"""Mistakes that are put into words; the rest is counted."""
_NAMED = 50
"""Names that an error lists."""


def of_contradictions(
    value: Any, where: Where, known_benchmarks: Collection[str] | None = None
) -> list[InputError]:
    """Mistakes between parts of a recipe that are right by themselves; parts that are not are passed over.

    Args:
        value: the recipe as plain values.
        where: a path's place in words.
        known_benchmarks: the names that `watch` may use beside paths; None when they are not to be checked.
    """
    if not isinstance(value, Mapping):
        return []
    watched = _names(value.get("watch"), "benchmark")
    return [
        *_twice(_task_names(value.get("tasks")), ("tasks", "name"), "task", where),
        *_twice(watched, ("watch", "benchmark"), "benchmark", where),
        *_unknown(watched, known_benchmarks, where),
        *_unwatched(value.get("retain"), watched, where),
        *method_fields.contradictions(value.get("tune"), where),
    ]


def _names(items: Any, field: str) -> dict[int, str]:
    if not isinstance(items, list):
        return {}
    found = {i: item.get(field) for i, item in enumerate(items) if isinstance(item, Mapping)}
    return {index: name for index, name in found.items() if isinstance(name, str)}


def _task_names(tasks: Any) -> dict[int, str]:
    """Tasks' names, given or by default."""
    names = _names(tasks, "name")
    for index, task in enumerate(tasks if isinstance(tasks, list) else []):
        data = task.get("data") if isinstance(task, Mapping) and "name" not in task else None
        named = (data.get("path") or data.get("hub")) if isinstance(data, Mapping) else None
        listed = isinstance(named, list) and named and isinstance(named[0], str)
        if isinstance(data, Mapping) and (isinstance(named, str) or listed):
            names[index] = Data.model_construct(path=data.get("path"), hub=data.get("hub")).default_name()
    return dict(sorted(names.items()))


def _twice(names: Mapping[int, str], path: tuple[str, str], what: str, where: Where) -> list[InputError]:
    seen: dict[str, int] = {}
    errors = []
    for index, name in names.items():
        if name in seen:
            first = f"{path[0]}.{seen[name]}.{path[1]}"
            errors.append(
                InputError(
                    f"two of one name: {what} {name}",
                    where=where((path[0], index, path[1])),
                    found=f"{name}, as in {first}",
                    expected="every name once",
                    fix="rename or remove one of them",
                )
            )
        seen.setdefault(name, index)
    return errors


def _unknown(watched: Mapping[int, str], known: Collection[str] | None, where: Where) -> list[InputError]:
    errors = []
    for index, name in watched.items():
        own = name.partition(":")[0]
        if known is None or own in known or "/" in name or own.endswith((".yaml", ".yml")):
            continue
        errors.append(
            InputError(
                "there is no such benchmark",
                where=where(("watch", index, "benchmark")),
                found=name,
                expected=", ".join(sorted(known)) + ", or the path of your own",
                fix=did_you_mean(name, sorted(known)) or "take one of these",
            )
        )
    return errors


def _unwatched(retain: Any, watched: Mapping[int, str], where: Where) -> list[InputError]:
    names: Sequence[str] = list(retain) if isinstance(retain, Mapping) else []
    errors: list[InputError] = []
    known = set(watched.values())
    benchmarks = sorted(known)
    for name in names:
        if name in known or len(errors) >= _WORDED:
            continue
        errors.append(
            InputError(
                "what shall be retained is not watched, so its loss would not be known",
                where=where(("retain", name)),
                found=name,
                expected="one of " + ", ".join(benchmarks[:_NAMED])
                if watched
                else "a benchmark that stands in watch",
                fix=did_you_mean(name, benchmarks) or f"add  - {{benchmark: {name}}}  to watch",
            )
        )
    return errors
