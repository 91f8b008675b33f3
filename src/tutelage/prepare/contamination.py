"""Whether items of the watched benchmarks stand among the training rows: then they say nothing of what was kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.data import duplicates
from tutelage.prepare.preparation import Rows

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
    asked = [(benchmark.name, item) for benchmark in watched for item in benchmark.items]
    told: dict[str, Any] = {one.name: {"items": len(one.items), "found": 0, "first": []} for one in watched}
    # All benchmarks at once, so that the training rows are indexed once.
    for same in (
        duplicates.contaminated_items([item.prompt for _, item in asked], texts, near) if asked else ()
    ):
        name, item = asked[same.item]
        told[name]["found"] += 1
        if len(told[name]["first"]) < MOST:
            told[name]["first"].append(
                {"item": item.id, "train": str(train[same.row].origin), "how": same.evidence}
            )
    return told
