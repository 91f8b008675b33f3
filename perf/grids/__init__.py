"""Experiments that `perf/grid.py` runs: one module each."""
