"""Contradictions between parts of a recipe that are right by themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from tutelage.config import method_fields
from tutelage.config.data_block import Data
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean, unknown_name
from tutelage.core.yamltext import FieldPath

Where = Callable[[FieldPath], str]

_MOST_ERRORS = 2_000
"""Errors about `retain` that are made; the rest is left out."""
_MOST_NAMES = 50
"""Names that an error lists."""


def find_contradictions(
    recipe: Mapping[str, Any], where: Where, benchmarks: Collection[str] | None = None
) -> list[InputError]:
    """Find mistakes between parts of a recipe; parts that are wrong by themselves are passed over.

    Args:
        recipe: the recipe as plain values.
        where: a field's place in words.
        benchmarks: the names that `watch` may use beside paths; None when they are not to be checked.
    """
    watched = _names(recipe.get("watch"), "benchmark")
    return [
        *_duplicates(_task_names(recipe.get("tasks")), ("tasks", "name"), "task", where),
        *_duplicates(watched, ("watch", "benchmark"), "benchmark", where),
        *_unknown_benchmarks(watched, benchmarks, where),
        *_unwatched(recipe.get("retain"), watched, where),
        *method_fields.find_contradictions(recipe.get("tune"), where),
    ]


def _names(blocks: Any, field: str) -> dict[int, str]:
    """The names that a list of blocks has in a field, by index."""
    if not isinstance(blocks, list):
        return {}
    names = {index: block.get(field) for index, block in enumerate(blocks) if isinstance(block, Mapping)}
    return {index: name for index, name in names.items() if isinstance(name, str)}


def _task_names(tasks: Any) -> dict[int, str]:
    """The tasks' names by index, also those that tasks get from their data."""
    names = _names(tasks, "name")
    for index, task in enumerate(tasks if isinstance(tasks, list) else []):
        data = task.get("data") if isinstance(task, Mapping) and "name" not in task else None
        if not isinstance(data, Mapping):
            continue
        location = data.get("path") or data.get("hub")
        first = location[0] if isinstance(location, list) and location else location
        if isinstance(first, str):
            names[index] = Data.model_construct(path=data.get("path"), hub=data.get("hub")).default_name()
    return dict(sorted(names.items()))


def _duplicates(
    names: Mapping[int, str], path: tuple[str, str], noun: str, where: Where
) -> Iterator[InputError]:
    block, field = path
    first_index: dict[str, int] = {}
    for index, name in names.items():
        if name in first_index:
            yield InputError(
                f"two of one name: {noun} {name}",
                where=where((block, index, field)),
                found=f"{name}, as in {block}.{first_index[name]}.{field}",
                expected="every name once",
                fix="rename or remove one of them",
            )
        first_index.setdefault(name, index)


def _unknown_benchmarks(
    watched: Mapping[int, str], benchmarks: Collection[str] | None, where: Where
) -> Iterator[InputError]:
    if benchmarks is None:
        return
    for index, name in watched.items():
        benchmark = name.partition(":")[0]
        if benchmark in benchmarks or "/" in name or benchmark.endswith((".yaml", ".yml")):
            continue
        yield unknown_name(
            "there is no such benchmark",
            name,
            sorted(benchmarks),
            where=where(("watch", index, "benchmark")),
            also=", or the path of your own",
        )


def _unwatched(retain: Any, watched: Mapping[int, str], where: Where) -> list[InputError]:
    watched_names = sorted(set(watched.values()))
    unwatched = [name for name in retain if name not in watched_names] if isinstance(retain, Mapping) else []
    return [
        InputError(
            "retain has a benchmark that is not watched, so its loss would not be known",
            where=where(("retain", name)),
            found=name,
            expected="one of " + ", ".join(watched_names[:_MOST_NAMES])
            if watched
            else "a benchmark that stands in watch",
            fix=did_you_mean(name, watched_names) or f"add  - {{benchmark: {name}}}  to watch",
        )
        for name in unwatched[:_MOST_ERRORS]
    ]
