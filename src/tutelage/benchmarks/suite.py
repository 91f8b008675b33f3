"""A suite: tasks taken from other benchmarks, asked together, with one mean over tasks.

A suite is read as a benchmark whose parts are the parts of other benchmarks. So it is evaluated, watched, compared and reported
like any benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from pydantic import Field

from tutelage.benchmarks.dataset import DataNotFoundError, is_missing_data
from tutelage.benchmarks.fields import AGGREGATES, NAME, BenchmarkInfo
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.runner import Benchmark
from tutelage.benchmarks.sampling import Limit
from tutelage.benchmarks.spec import PartSpec, RunnableSpec
from tutelage.core.errors import InputError, raise_all
from tutelage.core.suggestions import unknown_name
from tutelage.core.validation import Block, Places, checked


class SuiteTask(Block):
    """One task of a suite: a benchmark or some of its parts."""

    benchmark: str = Field(
        min_length=1,
        description="A bundled benchmark with its way (mmlu:cloze), or the path of a spec relative to the suite.",
    )
    parts: tuple[str, ...] = Field(
        (), description="Parts of the benchmark; all that count in its average when not given."
    )
    limit: int | None = Field(None, ge=1, description="At most this many items of each part, as a sample.")
    shots: int | None = Field(None, ge=0, description="Exemplars; as many as the benchmark says by default.")
    low: float | None = Field(
        None,
        description="The value of the metric that counts as 0, such as that of chance; the benchmark's by default.",
    )
    high: float | None = Field(None, description="The value that counts as 1; the benchmark's by default.")


class SuiteSpec(BenchmarkInfo):
    """The spec.yaml of a suite."""

    aggregate: Literal["tasks"] = Field("tasks", description="The mean over tasks, each weighing the same.")
    suite: Mapping[str, SuiteTask] = Field(
        min_length=1, description="The tasks by name. A task of several parts counts with their mean."
    )


class LoadTask(Protocol):
    """Loads the benchmark of a task, with its path relative to the suite."""

    def __call__(self, name: str, *, limit: Limit, parts: Sequence[str], shots: int | None) -> Benchmark:
        """The benchmark, limited to these parts and so many items of each."""


@dataclass(frozen=True, slots=True)
class _LoadedTask:
    """A task's parts and items, under the names that they have in the suite."""

    parts: Mapping[str, PartSpec]
    items: Sequence[BenchmarkItem]
    sizes: Mapping[str, int]
    missing: Sequence[str]
    notes: Sequence[str]
    substitutes: Sequence[str]


def read_suite_spec(value: dict[str, Any], places: Places) -> SuiteSpec:
    """Check the spec of a suite.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    spec = checked(SuiteSpec, value, places)
    raise_all(places.file, list(_contradictions(spec, places)))
    return spec


def load_suite(
    spec: SuiteSpec, load: LoadTask, limit: Limit, *, selected: Sequence[str] = (), where: str
) -> Benchmark:
    """Load the benchmarks of a suite and join them.

    Args:
        spec: the suite.
        load: loads the benchmark of a task.
        limit: at most so many items of each part, where the suite does not ask for fewer.
        selected: only these tasks.
        where: the suite's file.

    Raises:
        InputError: mistakes of its benchmarks, or none of their data is there; InputErrors for several. Where the data of some
            tasks only is missing, they are listed in `missing`.
    """
    for name in selected:
        if name not in spec.suite:
            raise unknown_name(f"{spec.name} has no such task", name, spec.suite, where="parts")
    tasks: list[_LoadedTask] = []
    missing: dict[str, InputError] = {}
    errors: list[InputError] = []
    for name in selected or spec.suite:
        try:
            tasks.append(_load_task(name, spec.suite[name], load, limit))
        except InputError as error:
            if is_missing_data(error):
                missing[name] = error
            else:
                place = f"{where}: suite.{name}"
                errors += [
                    mistake.at(f"{place}: {mistake.where}" if mistake.where else place)
                    for mistake in error.mistakes
                ]
    raise_all(where, errors)
    if not tasks:
        raise DataNotFoundError(
            f"the data of {spec.name} is not here",
            where="--data",
            found=next(iter(missing.values())).found,
            expected=f"the data of {', '.join(missing)}",
            fix="name the folder that has it with --data",
        )
    parts = {name: part for task in tasks for name, part in task.parts.items()}
    return Benchmark(
        name=spec.name,
        spec=RunnableSpec(**spec.info, parts=parts),
        items=tuple(item for task in tasks for item in task.items),
        sizes={name: size for task in tasks for name, size in task.sizes.items()},
        missing=(*missing, *(name for task in tasks for name in task.missing)),
        notes=tuple(note for task in tasks for note in task.notes),
        substitutes=tuple(name for task in tasks for name in task.substitutes),
    )


def _load_task(name: str, task: SuiteTask, load: LoadTask, limit: Limit) -> _LoadedTask:
    counts = [count for count in (task.limit, limit.count) if count is not None]
    task_limit = Limit(min(counts, default=None), first=limit.first)
    benchmark = load(task.benchmark, limit=task_limit, parts=task.parts, shots=task.shots)
    chosen = [part for part in benchmark.parts if part in task.parts or benchmark.spec.parts[part].averaged]
    missing = [
        part
        for part in dict.fromkeys((*benchmark.averaged(benchmark.missing), *task.parts))
        if not any(read == part or read.startswith(f"{part}.") for read in chosen)
    ]
    names = {
        part: name if len(chosen) + len(missing) == 1 else f"{name}.{part}" for part in (*chosen, *missing)
    }
    parts = {
        names[part]: benchmark.spec.parts[part].model_copy(
            update={
                "group": name if len(names) > 1 else "",
                "fold": name,
                "averaged": True,
                "metrics": tuple(benchmark.metrics_of(part)),
                **{field: value for field in ("low", "high") if (value := getattr(task, field)) is not None},
            }
        )
        for part in chosen
    }
    for part in parts.values():
        if part.low == part.high:
            raise InputError(
                "the value that counts as 0 is also the one that counts as 1",
                found=f"low: {part.low:g}, high: {part.high:g}",
                expected="low: the value of chance, high: the best value",
            )
    return _LoadedTask(
        parts,
        [
            replace(item, id=f"{name}/{item.id}", part=names[item.part], categories=())
            for item in benchmark.items
            if item.part in names
        ],
        {names[part]: size for part, size in benchmark.sizes.items() if part in names},
        [names[part] for part in missing],
        [f"{name}: {note}" for note in benchmark.notes],
        [names[part] for part in benchmark.substitutes if part in names],
    )


def _contradictions(spec: SuiteSpec, places: Places) -> Iterator[InputError]:
    for name in spec.suite:
        if not re.match(NAME, name) or name in AGGREGATES:
            yield InputError(
                "not a name for a task",
                where=places(("suite", name)),
                found=name,
                expected=f"letters, digits, . _ and -; not {', '.join(AGGREGATES)}",
            )
