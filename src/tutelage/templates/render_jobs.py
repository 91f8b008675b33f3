"""Batch rendering: jobs, outcomes, and the renderer that runs in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tutelage.core.types import Json
from tutelage.templates.placeholders import try_render
from tutelage.templates.sandbox import RenderedText, RenderFailure

RenderRequest = tuple[str, Mapping[str, Json]]
"""A text to render: its template, and values besides the row's fields."""
RenderOutcome = RenderedText | RenderFailure


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One row: its fields, and the texts to render from them."""

    fields: Mapping[str, Json]
    requests: tuple[RenderRequest, ...]


Renderer = Callable[[Sequence[RenderJob]], list[list[RenderOutcome]]]
"""Returns for every job, in order, one outcome a request. It may stop early, after a row that exceeded the limits."""


ROWS_PER_BATCH = 1000
"""Rows rendered together, which bounds the memory for intermediate results."""


def render_here(jobs: Sequence[RenderJob]) -> list[list[RenderOutcome]]:
    """Render in this process: for Tutelage's own templates, and for templates that only insert fields."""
    return [[try_render(source, job.fields, extra) for source, extra in job.requests] for job in jobs]
