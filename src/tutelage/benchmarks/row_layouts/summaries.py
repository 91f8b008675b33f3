"""Rows of published summaries to rows with all their summaries in one column."""

from __future__ import annotations

from collections.abc import Iterator

from tutelage.benchmarks.row_layouts.columns import text_of, with_columns
from tutelage.core.types import Example


def dialogsum(row: Example) -> Iterator[Example]:
    """DialogSum: a dialogue with one summary, or in its test file with three (summary1, summary2, summary3).

    Columns: dialogue, summaries (all of them).
    """
    numbered = [name for name in ("summary1", "summary2", "summary3") if name in row.fields]
    yield with_columns(row, summaries=[text_of(row, name) for name in numbered or ["summary"]])
