"""The spec of a benchmark of BIG-bench's JSON tasks: which tasks, and where their folders may be."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tutelage.benchmarks.fields import BenchmarkInfo
from tutelage.core.validation import Block, Places, checked


class BigBenchTasks(Block):
    """Where BIG-bench's tasks are, and which of them count."""

    folders: tuple[str, ...] = Field(
        min_length=1,
        description="Folders of tasks below the data folder; a task is taken from the first that has it.",
    )
    tasks: tuple[str, ...] = Field((), description="The tasks' names; all that are there when not given.")
    max_new_tokens: int = Field(64, ge=1, le=4096, description="The most tokens of a generated answer.")


class BigBenchSpec(BenchmarkInfo):
    """The spec.yaml of a benchmark of BIG-bench's JSON tasks."""

    bigbench: BigBenchTasks = Field(description="Which tasks it asks.")

    @property
    def has_exemplars(self) -> bool:
        """Always: other examples of the same task."""
        return True


def read_bigbench_spec(value: dict[str, Any], places: Places) -> BigBenchSpec:
    """Check the spec of a benchmark of BIG-bench's tasks.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    return checked(BigBenchSpec, value, places)
