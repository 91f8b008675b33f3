"""One static page from a run folder."""

from __future__ import annotations

from tutelage.report.page import write

__all__ = ["write"]
