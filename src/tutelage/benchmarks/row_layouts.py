"""Nested rows of published benchmark files to one row a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tutelage.benchmarks import choice_layouts, summary_layouts, superglue_layouts
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Example

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


LAYOUTS: Mapping[str, RowLayout] = {
    "multirc": superglue_layouts.multirc,
    "record": superglue_layouts.record,
    "wsc": superglue_layouts.wsc,
    "axg": superglue_layouts.axg,
    "phenomena": superglue_layouts.phenomena,
    "truthfulqa": choice_layouts.truthfulqa,
    "hellaswag": choice_layouts.hellaswag,
    "arc": choice_layouts.arc,
    "winogrande": choice_layouts.winogrande,
    "dialogsum": summary_layouts.dialogsum,
}
"""Every layout by its name in specs."""
