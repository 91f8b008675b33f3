"""Raw rows to rows whose field names say what they are, for the shapes in which data sets come."""

from __future__ import annotations

from tutelage.data.layouts.known import NAMES, PLAIN, Layout, detect, named
from tutelage.data.layouts.made import How, Labels, Made, NoColumn

__all__ = ["NAMES", "PLAIN", "How", "Labels", "Layout", "Made", "NoColumn", "detect", "named"]
