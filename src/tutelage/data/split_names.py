"""The names of training, validation and test rows in files of other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from tutelage.core.types import Json, Split

SPLIT_COLUMN = "split"
"""The column that says which split a row belongs to, where the recipe names none."""
_NAMES: Mapping[str, Split] = {
    **{name: name for name in get_args(Split)},
    "training": "train",
    "trn": "train",
    "dev": "validation",
    "develop": "validation",
    "development": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "testing": "test",
    "tst": "test",
}


def split_name(value: Json) -> Split | None:
    """The split that a name stands for, in any case: validation for Dev; None if it names none."""
    return _NAMES.get(value.strip().lower()) if isinstance(value, str) else None
