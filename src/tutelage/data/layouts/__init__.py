"""Detects the layout of a data set's rows and turns raw rows into rows with named fields (prompt, completion, label, ...)."""

from tutelage.data.layouts.options import LabelMapping, LayoutRow, MissingColumnError, ReadOptions
from tutelage.data.layouts.registry import CONVERSATIONS, NAMES, PLAIN, Layout, detect, get_layout

__all__ = [
    "CONVERSATIONS", "NAMES", "PLAIN", "LabelMapping", "Layout", "LayoutRow", "MissingColumnError", "ReadOptions", "detect", "get_layout",
]  # fmt: skip
