"""Two evaluations of the same items: gain, forgetting, the verdict."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

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


class _Callable(ModuleType):
    """`tutelage.compare` is this package and also a function that users call: both names were promised."""

    def __call__(self, first: str | Path, *others: str | Path, seed: int = 0) -> list[RunComparison]:
        """`compare_runs` with paths as text too."""
        return compare_runs(Path(first), *map(Path, others), seed=seed)


sys.modules[__name__].__class__ = _Callable
