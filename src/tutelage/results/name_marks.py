"""What a benchmark's name may not be written without, in tables, pages and exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def name_marks(caveats: Mapping[str, Any]) -> str:
    """What stands behind a benchmark's name where its score is not over all official items: " (incomplete, sample)", or nothing.

    Args:
        caveats: what evaluation.json or results.json says about the benchmark beside its scores.
    """
    marks = ["incomplete"] if "missing_parts" in caveats or "substituted_parts" in caveats else []
    marks += ["sample"] if "sampled_of" in caveats else []
    return f" ({', '.join(marks)})" if marks else ""
