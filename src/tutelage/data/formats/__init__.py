"""Bytes to raw rows with their physical line: what a file is, before anyone asks what its rows mean."""

from __future__ import annotations

from tutelage.data.formats.by_extension import EXTENSIONS, OpenedFile, format_of, open_file, open_parallel

__all__ = ["EXTENSIONS", "OpenedFile", "format_of", "open_file", "open_parallel"]
