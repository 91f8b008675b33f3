"""Rendering in bulk: what is to be made of each row, and the two places where that is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tutelage.core.types import Json
from tutelage.templates.placeholders import attempt
from tutelage.templates.sandbox import Failure, Rendered

Ask = tuple[str, Mapping[str, Json]]
"""One text to be made: its template, and values beside the row's fields."""
Outcome = Rendered | Failure


@dataclass(frozen=True, slots=True)
class Job:
    """One row: its fields, and the texts to be made of them."""

    fields: Mapping[str, Json]
    asks: tuple[Ask, ...]


Renderer = Callable[[Sequence[Job]], list[list[Outcome]]]
"""Gives for every job, in order, one outcome an ask. It may end early, after a row whose failure ended the rendering."""


ROWS = 1000
"""Rows that are rendered together, so that what is made on the way stays small."""


def here(jobs: Sequence[Job]) -> list[list[Outcome]]:
    """Render in this process: for templates that come with Tutelage, and for those that only put fields into a text."""
    return [[attempt(source, job.fields, extra) for source, extra in job.asks] for job in jobs]
