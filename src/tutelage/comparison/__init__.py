"""Two evaluations of the same items: gain, forgetting, the verdict."""

from __future__ import annotations

from tutelage.comparison.gains import Comparison, compare
from tutelage.comparison.outcome import ALPHA, DEFAULT_BUDGET, Measured, Outcome
from tutelage.comparison.runs import RunComparison, compare_runs
from tutelage.comparison.verdict import Names, Verdict

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
