"""Reads data files into examples that know their file and line, and splits them into train, validation and test."""

from tutelage.data.formats import EXTENSIONS
from tutelage.data.layouts import NAMES as LAYOUTS
from tutelage.data.layouts import ReadOptions
from tutelage.data.partition import SPLITS, SplitSettings
from tutelage.data.reader import DroppedRow, read, too_many_dropped_error
from tutelage.data.source import (
    DataSource,
    LabelNames,
    LoadedData,
    SourceFiles,
    files_of,
    find,
    load,
    read_all,
)
from tutelage.data.splits import Splits, split

__all__ = [
    "EXTENSIONS", "LAYOUTS", "SPLITS", "DataSource", "DroppedRow", "LabelNames", "LoadedData", "ReadOptions", "SourceFiles",
    "SplitSettings", "Splits", "files_of", "find", "load", "read", "read_all", "split", "too_many_dropped_error",
]  # fmt: skip
