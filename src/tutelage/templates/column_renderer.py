"""Renders prompt and completion directly from the few columns that the two templates read, for mixtures of millions of rows.

This is a Python API, used by `mixture.mixture_stream`; recipes do not use it yet. It gives exactly the texts of
`TaskTemplate.render`, or None where the row needs the full template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from jinja2 import nodes

from tutelage.core.limits import MAX_RENDERED_CHARACTERS
from tutelage.core.types import Json
from tutelage.templates import sandbox
from tutelage.templates.environment import ENVIRONMENT
from tutelage.templates.placeholders import Placeholder, is_safe_text, parse_placeholders, try_render
from tutelage.templates.sandbox import RenderFailure


class ColumnRenderer(NamedTuple):
    """Renders a row's prompt and completion from the values of a few columns.

    Attributes:
        fields: the columns that are read, each once.
        fill: from the values of `fields` to (prompt, completion); None if anything is unusual or wrong with the row, which then
            needs the full template.
    """

    fields: tuple[str, ...]
    fill: Callable[[Sequence[Json]], tuple[str, str] | None]


@lru_cache(maxsize=4096)
def column_renderer(prompt: str, completion: str) -> ColumnRenderer | None:
    """Compile two templates into a renderer over the columns that they read.

    Templates that only insert fields are filled without running Jinja; others are run on the fields that they name.

    Returns:
        The renderer; None if a template could give another text on the full row.

    Raises:
        TemplateSyntaxError: as `parse_placeholders`.
    """
    prompt_parts, completion_parts = parse_placeholders(prompt), parse_placeholders(completion)
    if prompt_parts is None or completion_parts is None:
        return _run_templates(prompt, completion)
    fields = tuple(
        dict.fromkeys(
            part.name for part in (*prompt_parts, *completion_parts) if isinstance(part, Placeholder)
        )
    )
    literals = ("", *(part for part in (*prompt_parts, *completion_parts) if isinstance(part, str)))
    pick_prompt, pick_completion = (
        _part_picker(parts, fields, literals) for parts in (prompt_parts, completion_parts)
    )
    repetitions = (
        max(parts.count(Placeholder(name)) for parts in (prompt_parts, completion_parts) for name in fields)
        if fields
        else 0
    )

    def fill(values: Sequence[Json]) -> tuple[str, str] | None:
        if (
            repetitions > 1
            and repetitions * sum(len(str(value)) for value in values) > MAX_RENDERED_CHARACTERS
        ):
            return None  # a field that is inserted many times could exhaust memory
        pieces: tuple[Any, ...] = (*values, *literals)
        try:
            prompt_text, completion_text = "".join(pick_prompt(pieces)), "".join(pick_completion(pieces))
        except TypeError:  # a value is not text
            texts = [str(value) if type(value) is int or type(value) is float else value for value in values]
            return fill(texts) if all(type(value) is str for value in texts) else None
        has_text = (
            prompt_text and completion_text and not prompt_text.isspace() and not completion_text.isspace()
        )
        is_short = (
            len(prompt_text) <= MAX_RENDERED_CHARACTERS and len(completion_text) <= MAX_RENDERED_CHARACTERS
        )
        is_plain_ascii = (
            prompt_text.isascii()
            and completion_text.isascii()
            and "<" not in prompt_text
            and "<" not in completion_text
        )
        return (
            (prompt_text, completion_text)
            if has_text
            and is_short
            and (is_plain_ascii or (is_safe_text(prompt_text) and is_safe_text(completion_text)))
            else None
        )

    return ColumnRenderer(fields, fill)


def _run_templates(prompt: str, completion: str) -> ColumnRenderer | None:
    sources = prompt, completion
    if any(map(_may_read_other_names, sources)):
        return None
    fields = tuple(dict.fromkeys(name for source in sources for name in sandbox.fields_read(source)))

    def fill(values: Sequence[Json]) -> tuple[str, str] | None:
        row = dict(zip(fields, values, strict=True))
        prompt_result, completion_result = try_render(prompt, row), try_render(completion, row)
        if isinstance(prompt_result, RenderFailure) or isinstance(completion_result, RenderFailure):
            return None
        return (
            (prompt_result.text, completion_result.text)
            if prompt_result.text.strip() and completion_result.text.strip()
            else None
        )

    return ColumnRenderer(fields, fill)


def _may_read_other_names(source: str) -> bool:
    """Whether other fields of the row could change a name's meaning: it is the whole row, or a global that a field could hide."""
    shadowing_names = {sandbox.WHOLE_ROW, *ENVIRONMENT.globals}
    return any(node.name in shadowing_names for node in ENVIRONMENT.parse(source).find_all(nodes.Name))


def _part_picker(
    parts: Sequence[str | Placeholder], fields: Sequence[str], literals: Sequence[str]
) -> itemgetter[Any]:
    """A getter of a template's parts, in order, from the values of `fields` followed by the templates' literal texts."""
    pool = [*map(Placeholder, fields), *literals]
    return itemgetter(
        *map(pool.index, parts), pool.index("")
    )  # the empty text ensures that it returns a tuple
