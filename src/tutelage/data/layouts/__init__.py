"""Raw rows to rows whose field names say what they are, for the shapes in which data sets come."""

from __future__ import annotations

from tutelage.data.layouts.options import ReadOptions, LabelMapping, LayoutRow, MissingColumnError
from tutelage.data.layouts.registry import NAMES, PLAIN, Layout, detect, named

__all__ = ["NAMES", "PLAIN", "How", "Labels", "Layout", "Made", "NoColumn", "detect", "named"]
