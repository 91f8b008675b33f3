"""BIG-bench's JSON tasks: files to tasks, tasks to items and parts, scored as its program scores them.

Srivastava et al., "Beyond the Imitation Game", 2022; the reference program is PyPI's `bigbench` 1.0.0.
"""

from __future__ import annotations

from tutelage.benchmarks.bigbench.bigbench_spec import BigBenchSpec, read_bigbench_spec
from tutelage.benchmarks.bigbench.parts import BigBenchParts, read_bigbench

__all__ = ["BigBenchParts", "BigBenchSpec", "read_bigbench", "read_bigbench_spec"]
