"""Templates of a benchmark filled in for many rows, in the sandbox; those of a spec that is not ours in a process of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tutelage.benchmarks.prompt_spec import is_template
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Json
from tutelage.templates import subprocess_renderer
from tutelage.templates.failures import in_words
from tutelage.templates.jobs import ROWS, Job, Outcome, Renderer, here
from tutelage.templates.placeholders import gaps
from tutelage.templates.sandbox import Failure

Named = tuple[str, str]
"""The field that a template stands in, and the template."""


def filled(
    templates: Sequence[Named], rows: Sequence[Example], beside: Mapping[str, Json], *, foreign: bool
) -> Iterator[tuple[str, ...] | InputError]:
    """The texts of each row, one a template, or what is wrong with the row; what is no template stands as it is.

    Args:
        templates: by field, for mistakes.
        rows: whose columns they read.
        beside: what they may read beside columns.
        foreign: whether the spec came from elsewhere: what does more than put columns into a text then has bounded memory and
            time, and the row that takes more is the last.
    """
    live = [(name, *_apart_from_ends(text)) for name, text in templates if is_template(text)]
    render: Renderer = (
        subprocess_renderer.render if foreign and any(gaps(text) is None for _, text, _ in live) else here
    )
    asks = tuple((text, beside) for _, text, _ in live)
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        outcomes = render([Job(row.fields, asks) for row in some]) if live else [[] for _ in some]
        for row, outcome in zip(some, outcomes, strict=False):
            try:
                yield _texts(templates, live, outcome, row)
            except InputError as error:
                yield error
        if len(outcomes) < len(some):
            return


def _apart_from_ends(text: str) -> tuple[str, str]:
    """A template without the line ends behind it, and those: Jinja drops the last one."""
    body = text.rstrip("\n")
    return body, text[len(body) :]


def _texts(
    templates: Sequence[Named], live: Sequence[tuple[str, str, str]], outcome: Sequence[Outcome], row: Example
) -> tuple[str, ...]:
    done = iter(zip(live, outcome, strict=True))
    found = []
    for name, text in templates:
        if not is_template(text):
            found.append(text)
            continue
        (_, _, ends), made = next(done)
        if isinstance(made, Failure):
            raise in_words(made, row, name, name)
        found.append(made.text + ends)
    return tuple(found)
