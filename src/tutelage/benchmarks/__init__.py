"""What is watched: specs and items as data, one runner."""

from __future__ import annotations

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.library import describe, load, names, ways
from tutelage.benchmarks.rowspec import RowsSpec
from tutelage.benchmarks.runner import Benchmark, BenchmarkScores
from tutelage.benchmarks.sampling import Limit
from tutelage.benchmarks.spec import PartSpec, Spec

__all__ = [
    "Benchmark",
    "BenchmarkItem",
    "BenchmarkScores",
    "Limit",
    "PartSpec",
    "RowsSpec",
    "Spec",
    "describe",
    "load",
    "names",
    "ways",
]
