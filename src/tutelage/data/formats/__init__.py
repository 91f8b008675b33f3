"""Parses data files into raw rows with their physical lines; `layouts` gives the rows a meaning."""

from tutelage.data.formats.by_extension import (
    EXTENSIONS,
    OpenedFile,
    advice_for,
    format_of,
    open_file,
    open_parallel,
)

__all__ = ["EXTENSIONS", "OpenedFile", "advice_for", "format_of", "open_file", "open_parallel"]
