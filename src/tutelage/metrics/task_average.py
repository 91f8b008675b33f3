"""The mean over tasks of each task's score, where tasks have metrics of their own (GLUE, SuperGLUE, BIG-bench).

The statistics of an item are (task, what the item adds to its task's score, the task's weight). A task's score is the mean of what
its items add, and the metric is the weighted mean of the tasks' scores.
"""

from __future__ import annotations

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.estimators import SumEstimator


def _count(_batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    raise InputError(
        "task_score is the mean of a benchmark's tasks and cannot be computed from rows",
        where=f"metric {spec.text!r}",
        expected="a benchmark with aggregate: tasks",
        fix="name the metrics of the task itself",
    )


def _estimator(_spec: MetricSpec, statistics: Floats) -> SumEstimator:
    codes, first, task = np.unique(statistics[:, 0], return_index=True, return_inverse=True)
    weights, count = statistics[first, 2], len(codes)
    by_task = np.zeros((len(statistics), 2 * count))  # the sums of each task, then how many items it has
    rows = np.arange(len(statistics))
    by_task[rows, task] = statistics[:, 1]
    by_task[rows, count + task] = 1.0

    def combine(sums: Floats) -> Floats:
        totals, counts = sums[..., :count], sums[..., count:]
        present = counts > 1e-9  # a task whose items are all left out has rounding errors only
        means = np.divide(totals, counts, out=np.zeros_like(totals), where=present)
        return np.asarray((means @ weights) / np.maximum(present @ weights, 1e-300), np.float64)

    return SumEstimator(combine, by_task)


task_score = MetricImplementation(_count, _estimator)
