"""Files in, examples with file and line out."""

from __future__ import annotations

from tutelage.data.partition import SPLITS, SplitSettings
from tutelage.data.reader import EXTENSIONS, read
from tutelage.data.source import DataSource, Loaded, load
from tutelage.data.splits import Splits, split

__all__ = ["EXTENSIONS", "SPLITS", "DataSource", "Loaded", "SplitSettings", "Splits", "load", "read", "split"]
