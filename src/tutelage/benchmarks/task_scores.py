"""The score of a task that has metrics of its own, and the mean over tasks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tutelage.metrics import ItemScores, Row
from tutelage.metrics.catalogue import parse
from tutelage.metrics.group_sums import name_code
from tutelage.metrics.implementation import ItemStatistics
from tutelage.metrics.score import AVERAGE
from tutelage.metrics.scoring import cluster_numbers, contributions, score_statistics
from tutelage.metrics.stats.arrays import Floats, Ints

TASK_SCORE = "task_score"


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """A task's metrics over its rows, and what they count for.

    Attributes:
        scored: the metrics whose mean is the task's score, over the task's rows.
        rows: the indices of the task's rows among those of the benchmark.
        fold: the task that it is a variant of, or its own name: variants count as one task.
        low: the value of the metrics that counts as 0.
        high: the value that counts as 1.
    """

    scored: Sequence[ItemScores]
    rows: Sequence[int]
    fold: str
    low: float = 0.0
    high: float = 1.0

    def contributions(self) -> tuple[Ints, Floats]:
        """The indices of the counted rows among the benchmark's, and what each adds to the task's score.

        The mean of the second is the mean of the metrics, from low to high. A metric that counts some of the rows only adds its mean
        to each, and the deviation from it to those, in proportion to their share. A metric that is not defined counts as 0.
        """
        counted = sorted({row for scores in self.scored for row in scores.rows})
        place = {row: index for index, row in enumerate(counted)}
        total = np.zeros(len(counted))
        for scores in self.scored:
            value = scores.score.value
            if math.isnan(value):  # the correlation of a model that always answers the same
                continue
            values = contributions(scores)
            share = len(counted) / len(values)
            total += value
            np.add.at(total, [place[row] for row in scores.rows], share * (values - value))
        scaled = (total / len(self.scored) - self.low) / (self.high - self.low)
        return np.array(self.rows, np.int64)[counted], scaled


def mean_task_score(tasks: Sequence[ScoredTask], rows: Sequence[Row]) -> ItemScores:
    """The mean of tasks' scores, variants of a task counting as one.

    Args:
        tasks: at least one.
        rows: all rows of the benchmark.

    Returns:
        The metric `task_score`; its `rows` are indices into the rows of these tasks, in the benchmark's order.
    """
    variants = Counter(task.fold for task in tasks)
    indices, statistics = [], []
    for number, task in enumerate(tasks):
        counted, values = task.contributions()
        code = name_code(rows[int(counted[0])].task or str(number))
        weight = 1 / variants[task.fold]
        indices.append(counted)
        statistics.append(
            np.stack([np.full(len(values), code), values, np.full(len(values), weight)], axis=1)
        )
    order = np.argsort(np.concatenate(indices), kind="stable")
    counted, table = np.concatenate(indices)[order], np.concatenate(statistics)[order]
    members = sorted(row for task in tasks for row in task.rows)
    place = {row: index for index, row in enumerate(members)}
    positions = np.array([place[int(row)] for row in counted], np.int64)
    scores = score_statistics(
        TASK_SCORE,
        ItemStatistics(positions, table[:, 1].copy(), table),
        cluster_numbers([rows[int(row)] for row in counted]),
    )
    if all(parse(metric.metric).entry.kind != "other" for task in tasks for metric in task.scored):
        return scores
    # An item's share in F1 or a correlation depends on all items: the shares of some of them do not make their score.
    signature, _, interval = scores.score.signature.partition("|ci:")
    return replace(scores, score=replace(scores.score, signature=f"{signature}{AVERAGE}shares|ci:{interval}"))
