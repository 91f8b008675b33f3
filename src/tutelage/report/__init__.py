"""One static page from a run folder."""

from __future__ import annotations

from tutelage.report.page import is_whole, write

__all__ = ["is_whole", "write"]
