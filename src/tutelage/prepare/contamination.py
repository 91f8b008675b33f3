"""Looks for items of the watched benchmarks among the training rows: scores on these items say nothing about forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.data import duplicates
from tutelage.prepare.task_rows import TaskRows

MAX_LISTED = 20  # items that the card names


def find_contamination(
    benchmarks: Sequence[Benchmark], tasks: Sequence[TaskRows], *, threshold: float
) -> dict[str, Any]:
    """Count the benchmark items that stand in training, exactly or nearly.

    Args:
        benchmarks: the watched benchmarks.
        tasks: all tasks; prompt and completion of their training rows are compared.
        threshold: the similarity from which on an item and a row count as the same.

    Returns:
        For each benchmark its number of `items`, how many were `found` in training, and the `first` of them.
    """
    rows = [row for task in tasks for row in task.train]
    texts = [f"{row.prompt}\n{row.completion}" for row in rows]
    items = [(benchmark.name, item) for benchmark in benchmarks for item in benchmark.items]
    report: dict[str, Any] = {
        benchmark.name: {"items": len(benchmark.items), "found": 0, "first": []} for benchmark in benchmarks
    }
    if not items:
        return report
    # All benchmarks at once, so that the training rows are indexed once.
    for match in duplicates.contaminated_items([item.prompt for _, item in items], texts, threshold):
        name, item = items[match.item]
        report[name]["found"] += 1
        if len(report[name]["first"]) < MAX_LISTED:
            report[name]["first"].append(
                {"item": item.id, "train": str(rows[match.row].origin), "how": match.evidence}
            )
    return report
