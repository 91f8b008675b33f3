"""One static page from a run folder."""

from __future__ import annotations

from tutelage.report.page import output, write

__all__ = ["output", "write"]
