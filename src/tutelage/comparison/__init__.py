"""Two evaluations of the same items: gain, forgetting, the verdict."""

from __future__ import annotations

from tutelage.comparison.paired_comparison import Comparison, compare_models
from tutelage.comparison.runs import RunComparison, compare_runs
from tutelage.comparison.task_comparison import (
    ALPHA,
    DEFAULT_BUDGET,
    CutAnswers,
    PairedScores,
    TaskComparison,
)
from tutelage.comparison.task_means import BEST_ON_VALIDATION
from tutelage.comparison.verdict import SideNames, Verdict

__all__ = [
    "ALPHA",
    "BEST_ON_VALIDATION",
    "DEFAULT_BUDGET",
    "Comparison",
    "CutAnswers",
    "PairedScores",
    "RunComparison",
    "SideNames",
    "TaskComparison",
    "Verdict",
    "compare_models",
    "compare_runs",
]
