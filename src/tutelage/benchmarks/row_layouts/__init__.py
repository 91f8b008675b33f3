"""Nested rows of published benchmark files to one row a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

from tutelage.benchmarks.row_layouts import choices, summaries, superglue
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Example
from tutelage.core.validation import checked_by

RowLayout = Callable[[Example], Iterator[Example]]
"""A row of the file to its questions; each has the columns that prompts use."""


def layout(name: str) -> RowLayout:
    """Find a layout by name.

    Raises:
        InputError: there is no such layout; the nearest name is given.
    """
    if name not in LAYOUTS:
        raise unknown_name("there is no such layout of rows", name, LAYOUTS, where="layout")
    return LAYOUTS[name]


def _check(name: str) -> None:
    if name:
        layout(name)


LayoutName = Annotated[str, checked_by(_check)]
"""The name of a layout in a spec; "" for rows as they stand."""
LAYOUTS: Mapping[str, RowLayout] = {
    "multirc": superglue.multirc,
    "record": superglue.record,
    "wsc": superglue.wsc,
    "axg": superglue.axg,
    "phenomena": superglue.phenomena,
    "truthfulqa": choices.truthfulqa,
    "hellaswag": choices.hellaswag,
    "arc": choices.arc,
    "winogrande": choices.winogrande,
    "dialogsum": summaries.dialogsum,
}
"""Every layout by its name in specs."""
