"""Chooses how a task's rows are split: as its recipe says, or by the split that stands in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tutelage.config.task_block import Task
from tutelage.core.types import Example
from tutelage.data import SplitSettings
from tutelage.data.split_names import SPLIT_COLUMN, split_name


def split_settings(task: Task, examples: Sequence[Example]) -> SplitSettings:
    """The settings of a task's split; by the column `split` where the recipe has only defaults and the file has such a column.

    The column counts when every row names a split in it, and not all of them the same.
    """
    settings = task.split.settings()
    defaults = replace(
        SplitSettings(), leaks=settings.leaks, near_duplicate_threshold=settings.near_duplicate_threshold
    )
    if settings != defaults or not examples or SPLIT_COLUMN not in examples[0].fields:
        return settings
    names = {split_name(example.fields.get(SPLIT_COLUMN)) for example in examples}
    if None in names or "train" not in names or len(names) < 2:
        return settings
    return replace(settings, column=SPLIT_COLUMN)
