"""Two evaluations of the same items: gain, forgetting, the verdict."""

from __future__ import annotations

from tutelage.comparison.outcome import ALPHA, DEFAULT_BUDGET, Outcome, PairedScores
from tutelage.comparison.paired_comparison import Comparison, compare
from tutelage.comparison.runs import RunComparison, compare_runs
from tutelage.comparison.verdict import SideNames, Verdict

__all__ = [
    "ALPHA",
    "DEFAULT_BUDGET",
    "Comparison",
    "Outcome",
    "PairedScores",
    "RunComparison",
    "SideNames",
    "Verdict",
    "compare",
    "compare_runs",
]
