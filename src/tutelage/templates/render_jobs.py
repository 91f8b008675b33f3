"""Rendering in bulk: what is to be made of each row, and the two places where that is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tutelage.core.types import Json
from tutelage.templates.placeholders import try_render
from tutelage.templates.sandbox import RenderedText, RenderFailure

RenderRequest = tuple[str, Mapping[str, Json]]
"""One text to be made: its template, and values beside the row's fields."""
RenderOutcome = RenderedText | RenderFailure


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One row: its fields, and the texts to be made of them."""

    fields: Mapping[str, Json]
    requests: tuple[RenderRequest, ...]


Renderer = Callable[[Sequence[RenderJob]], list[list[RenderOutcome]]]
"""Gives for every job, in order, one outcome an ask. It may end early, after a row whose failure ended the rendering."""


ROWS_PER_BATCH = 1000
"""Rows that are rendered together, so that what is made on the way stays small."""


def render_here(jobs: Sequence[RenderJob]) -> list[list[RenderOutcome]]:
    """Render in this process: for templates that come with Tutelage, and for those that only put fields into a text."""
    return [[try_render(source, job.fields, extra) for source, extra in job.requests] for job in jobs]
