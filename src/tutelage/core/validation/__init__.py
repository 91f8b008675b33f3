"""Validation of what people write: YAML or JSON to checked values, every mistake with file, line and field.

Recipes, benchmark specs and files of templates declare their fields as pydantic models (`Block`). `read_document` reads the
file, `validate` checks it against the model, and every kind of mistake has one wording (`document.py`).
"""

from __future__ import annotations

from tutelage.core.validation.block import Block, NonBlank, Text, checked_by, mistake, not_a_choice
from tutelage.core.validation.document import Advice, Places, Words, checked, read_document, validate

__all__ = [
    "Advice",
    "Block",
    "NonBlank",
    "Places",
    "Text",
    "Words",
    "checked",
    "checked_by",
    "mistake",
    "not_a_choice",
    "read_document",
    "validate",
]
