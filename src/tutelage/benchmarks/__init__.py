"""What is watched: specs and items as data, one runner."""

from __future__ import annotations

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.library import load, names
from tutelage.benchmarks.runner import Benchmark, BenchmarkScores
from tutelage.benchmarks.spec import PartSpec, Spec

__all__ = ["Benchmark", "BenchmarkItem", "BenchmarkScores", "PartSpec", "Spec", "load", "names"]
