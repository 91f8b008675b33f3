"""One static page from a run folder."""

from __future__ import annotations

from tutelage.report.run_page import output, write

__all__ = ["output", "write"]
