"""Batch rendering: jobs, outcomes, and the renderer that runs in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import Example, Json, Prompted
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


Plan = Callable[[Example], tuple[RenderJob, Callable[[Sequence[RenderOutcome]], Prompted]]]
"""From a row to its job, and to what turns the job's outcomes into the rendered row; both may raise InputError."""


def render_rows(
    examples: Sequence[Example], plan: Plan, renderer: Renderer, errors: list[InputError]
) -> Iterator[Prompted]:
    """Render rows in batches and yield them up to the first error.

    Args:
        examples: the rows.
        plan: how each row is rendered.
        renderer: where the jobs run.
        errors: known errors; those of further rows are added, one a row and up to MAX_MISTAKES.
    """
    locations = {error.where for error in errors}

    def record(error: InputError) -> None:
        if error.where not in locations and len(errors) < MAX_MISTAKES:
            locations.add(error.where)
            errors.append(error)

    for start in range(0, len(examples), ROWS_PER_BATCH):
        planned = []
        for example in examples[start : start + ROWS_PER_BATCH]:
            try:
                planned.append(plan(example))
            except InputError as error:
                record(error)
        outcomes = renderer([job for job, _ in planned])
        for (_, finish), outcome in zip(planned, outcomes, strict=False):
            try:
                prompted = finish(outcome)
            except InputError as error:
                record(error)
                continue
            if not errors:
                yield prompted
        # Rendering ends at a row that exceeds the limits.
        if len(outcomes) < len(planned) or len(errors) >= MAX_MISTAKES:
            return
