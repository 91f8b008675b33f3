"""Static HTML pages: the report of a run, explanations of scores, and what a recipe will train on."""

from __future__ import annotations

from tutelage.report.run_page import output, write

__all__ = ["output", "write"]
