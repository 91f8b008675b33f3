"""Two evaluations of the same items: gain, forgetting, the verdict."""

from __future__ import annotations

from tutelage.compare.comparison import Comparison, compare
from tutelage.compare.outcome import ALPHA, DEFAULT_BUDGET, Measured, Outcome
from tutelage.compare.runs import RunComparison, compare_runs
from tutelage.compare.verdict import Names, Verdict

__all__ = [
    "ALPHA",
    "DEFAULT_BUDGET",
    "Comparison",
    "Measured",
    "Names",
    "Outcome",
    "RunComparison",
    "Verdict",
    "compare",
    "compare_runs",
]
