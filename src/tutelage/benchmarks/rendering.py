"""Rendering of a benchmark's templates for many rows, in the sandbox; those of foreign specs in a child process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tutelage.benchmarks.prompt_spec import is_template
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Json
from tutelage.templates import subprocess_renderer
from tutelage.templates.placeholders import parse_placeholders
from tutelage.templates.render_errors import render_error
from tutelage.templates.render_jobs import ROWS_PER_BATCH, Renderer, RenderJob, render_here
from tutelage.templates.sandbox import RenderFailure

NamedTemplate = tuple[str, str]
"""The field that a template is in, for errors, and the template."""


def render_templates(
    templates: Sequence[NamedTemplate],
    rows: Sequence[Example],
    extra: Mapping[str, Json],
    *,
    foreign: bool,
) -> Iterator[tuple[str, ...] | InputError]:
    """Render a benchmark's templates for many rows.

    Args:
        templates: the templates; a text without placeholders is used as it is.
        rows: the rows whose fields they read.
        extra: what they may read beside the fields.
        foreign: whether the spec is not one of the bundled ones. Templates that do more than fill in fields are then rendered
            in a child process with bounded memory and time, and a row that exceeds the bounds is the last.

    Returns:
        For each row one text a template, or what is wrong with the row.
    """
    # Jinja drops the last line end of a template: all of them are put back behind the text.
    jinja = [(index, text.rstrip("\n")) for index, (_, text) in enumerate(templates) if is_template(text)]
    in_child = foreign and any(parse_placeholders(source) is None for _, source in jinja)
    render: Renderer = subprocess_renderer.shared_renderer if in_child else render_here
    requests = tuple((source, extra) for _, source in jinja)
    for start in range(0, len(rows), ROWS_PER_BATCH):
        batch = rows[start : start + ROWS_PER_BATCH]
        outcomes = (
            render([RenderJob(row.fields, requests) for row in batch]) if jinja else [[] for _ in batch]
        )
        for row, outcome in zip(batch, outcomes, strict=False):
            texts = [text for _, text in templates]
            failure: InputError | None = None
            for (index, source), rendered in zip(jinja, outcome, strict=True):
                name, text = templates[index]
                if isinstance(rendered, RenderFailure):
                    failure = render_error(rendered, row, name, name)
                    break
                texts[index] = rendered.text + text[len(source) :]
            yield failure or tuple(texts)
        if len(outcomes) < len(batch):
            return
