"""Files in, examples with file and line out."""

from __future__ import annotations

from tutelage.data.formats import EXTENSIONS
from tutelage.data.layouts import NAMES as LAYOUTS
from tutelage.data.layouts import ReadOptions
from tutelage.data.partition import SPLITS, SplitSettings
from tutelage.data.reader import DroppedRow, read, too_many_dropped_error
from tutelage.data.source import (
    DataSource,
    SourceFiles,
    LabelNames,
    LoadedData,
    files_of,
    find,
    load,
    read_all,
)
from tutelage.data.splits import Splits, split

__all__ = [
    "EXTENSIONS", "LAYOUTS", "SPLITS", "DataSource", "Dropped", "Found", "How", "LabelNames", "Loaded", "SplitSettings", "Splits",
    "files_of", "find", "load", "read", "read_all", "split", "too_many",
]  # fmt: skip
