"""Benchmarks: specs and items as data, and the runner that turns them into requests and responses into scores."""

from __future__ import annotations

from tutelage.benchmarks.dataset import DataNotFoundError, is_missing_data
from tutelage.benchmarks.fields import BenchmarkInfo
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.library import describe, fetch, load, names, ways
from tutelage.benchmarks.rows_spec import RowsSpec
from tutelage.benchmarks.runner import Benchmark, BenchmarkScores
from tutelage.benchmarks.sampling import Limit
from tutelage.benchmarks.spec import PartSpec, Spec

__all__ = [
    "Benchmark",
    "BenchmarkInfo",
    "BenchmarkItem",
    "BenchmarkScores",
    "DataNotFoundError",
    "Limit",
    "PartSpec",
    "RowsSpec",
    "Spec",
    "describe",
    "fetch",
    "is_missing_data",
    "load",
    "names",
    "ways",
]
