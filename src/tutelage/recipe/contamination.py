"""Whether items of the watched benchmarks stand among the training rows: then they say nothing of what was kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.data import duplicates
from tutelage.recipe.prepare import Rows

MOST = 20  # items that the card names


def found(watched: Sequence[Benchmark], rows: Rows, *, near: float) -> dict[str, Any]:
    """For each benchmark how many of its items were looked for, how many stand in training, and the first of them.

    Args:
        watched: the benchmarks.
        rows: all tasks' rows in words; prompt and completion are looked at.
        near: from which similarity on an item and a row are the same.
    """
    train = [row for task in rows.tasks for row in task.train]
    texts = [f"{row.prompt}\n{row.completion}" for row in train]
    told: dict[str, Any] = {}
    for benchmark in watched:
        items = benchmark.items
        same = duplicates.overlaps([item.prompt for item in items], texts, near)
        told[benchmark.name] = {
            "items": len(items),
            "found": len(same),
            "first": [
                {"item": items[one.item].id, "train": str(train[one.row].origin), "how": one.how}
                for one in same[:MOST]
            ],
        }
    return told
