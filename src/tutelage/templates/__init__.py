"""Examples put into words."""

from __future__ import annotations

from tutelage.templates.columns import columns_of, detect, guess, named, names
from tutelage.templates.sandbox import check, reference
from tutelage.templates.template import TaskTemplate

__all__ = ["TaskTemplate", "check", "columns_of", "detect", "guess", "named", "names", "reference"]
