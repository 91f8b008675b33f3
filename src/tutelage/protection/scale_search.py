"""Finds the scale of a tuned change that keeps the most gain within all budgets, by asking each candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from tutelage.benchmarks import Benchmark
from tutelage.comparison import DEFAULT_BUDGET, wording
from tutelage.comparison.budgets import Budget
from tutelage.comparison.fixed_sequence import LossTest, SequenceResult, loss_test, search, with_fallen_parts
from tutelage.comparison.task_comparison import Estimate, gain_in_points
from tutelage.core.errors import InputError
from tutelage.evaluation.measure import Measurement, ModelEvaluator, ModelScores, pair_scores
from tutelage.prepare.encoding import TaskQuestions

OpenCandidate = Callable[[float], AbstractContextManager[ModelEvaluator]]
"""Gives the evaluator of the model with its change scaled, for a block."""


def search_scales(
    path: Sequence[float],
    base: ModelScores,
    open_candidate: OpenCandidate,
    *,
    tasks: Sequence[TaskQuestions],
    benchmarks: Sequence[Benchmark],
    budgets: Mapping[str, Budget],
) -> SequenceResult:
    """Test the whole change, then candidates from the smallest scale on, and choose the best within budget.

    Losses are measured on what is watched, gains on the tasks' validation rows: test rows are not seen.

    Args:
        path: the scales.
        base: the base's scores, with those on validation rows.
        open_candidate: gives a candidate's evaluator.
        tasks: what is asked of the tasks.
        benchmarks: what is watched.
        budgets: the loss in points or nats that each may have, by name; `DEFAULT_BUDGET` where it names none.
    """
    gains: dict[float, Estimate] = {}

    def gain_at(scale: float) -> Estimate:
        if scale not in gains:  # the whole change, where the sequence ended before it
            with open_candidate(scale) as candidate:
                gains[scale] = mean_gain(base.validation, candidate.measure_validation(tasks))
        return gains[scale]

    def losses_at(scale: float, level: float) -> dict[str, LossTest]:
        with open_candidate(scale) as candidate:
            scores = {benchmark.name: candidate.measure_benchmark(benchmark) for benchmark in benchmarks}
            pairs = pair_scores({name: base.benchmarks[name] for name in scores}, scores)
            losses = with_fallen_parts(
                {
                    name: loss_test(name, pair, budgets.get(name, DEFAULT_BUDGET), level=level)
                    for name, pair in pairs.items()
                },
                pairs,
            )
            if all(test.passed for test in losses.values()):
                gains[scale] = mean_gain(base.validation, candidate.measure_validation(tasks))
        return losses

    return search(path, losses_at, gain_at)


def mean_gain(base: Mapping[str, Measurement], tuned: Mapping[str, Measurement]) -> Estimate:
    """The mean gain over tasks in points, each by its primary metric; those without a scale of 0 to 100 do not count.

    The tasks are independent: the interval's half is the root of the sum of their squared halves, over their number.
    """
    measured = [gain_in_points(pair) for pair in pair_scores(base, tuned).values()]
    gains = [gain for gain, _ in filter(None, measured)]
    mean = sum(gain.value for gain in gains) / len(gains)
    down, up = (
        math.hypot(*(gain.value - getattr(gain, end) for gain in gains)) / len(gains)
        for end in ("low", "high")
    )
    return Estimate(mean, mean - down, mean + up)


def check_gains(tasks: Sequence[TaskQuestions]) -> None:
    """Refuse a search whose gains could not be measured.

    Raises:
        InputError: no task has validation rows and a primary metric on a scale of 0 to 100.
    """
    counted = [
        task.name
        for task in tasks
        if task.validation and wording.budget_points(task.task.metrics[0]) is not None
    ]
    if not counted:
        raise InputError(
            "the best scale is chosen by the gain on validation rows, and there is none to measure",
            where="protect.scales",
            found="no task with validation rows and a primary metric on a scale of 0 to 100",
            expected="at least one",
            fix="keep validation rows (split: {validation: 0.1}), or remove scales",
        )
