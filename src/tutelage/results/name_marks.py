"""What a benchmark's name may not be written without, in tables, pages and exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MARKED = ("missing_parts", "substituted_parts", "sampled_of")


def benchmark_caveats(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """By benchmark, what an evaluation.json or a results.json says about it; in the former beside its scores."""
    if "benchmarks" in document:
        return dict(document["benchmarks"])
    return {name: outcome.get("told", {}) for name, outcome in document.get("watched", {}).items()}


def mark_reasons(caveats: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a benchmark's caveats for which its name is marked; none where its score is over all official items."""
    return {key: caveats[key] for key in _MARKED if key in caveats}


def name_marks(caveats: Mapping[str, Any]) -> str:
    """What stands behind a benchmark's name where its score is not over all official items: " (incomplete, sample)", or nothing.

    Args:
        caveats: what evaluation.json or results.json says about the benchmark beside its scores.
    """
    marks = ["incomplete"] if "missing_parts" in caveats or "substituted_parts" in caveats else []
    marks += ["sample"] if "sampled_of" in caveats else []
    return f" ({', '.join(marks)})" if marks else ""
