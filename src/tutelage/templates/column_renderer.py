"""Rows' texts without the rows: a prompt and a completion straight out of the few values that two templates read.

For who needs many texts and no more, as a mixture of millions of rows does. What comes out is what the whole template makes of the
row, or nothing: then the whole template has to be asked.
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
    """Puts a row's values into its prompt and its completion, and nothing else of the row.

    Attributes:
        fields: the fields that are read, each once.
        fill: (prompt, completion) of the values of `fields`; None where anything is unusual or wrong with the row: then it is
            for the whole template, which makes the same of the others.
    """

    fields: tuple[str, ...]
    fill: Callable[[Sequence[Json]], tuple[str, str] | None]


@lru_cache(maxsize=4096)
def column_renderer(prompt: str, completion: str) -> ColumnRenderer | None:
    """What fills two templates, row after row, in this process.

    Returns:
        The quick way where both have gaps alone; otherwise they are run, over the fields that they name. None where that could
        give another text.

    Raises:
        TemplateSyntaxError: as `gaps`.
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
            return None  # a field that stands there many times could fill the memory
        pieces: tuple[Any, ...] = (*values, *literals)
        try:
            prompt_text, completion_text = "".join(pick_prompt(pieces)), "".join(pick_completion(pieces))
        except TypeError:  # one of them is no text
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
    """Whether a name may mean another thing in a row with more fields: the whole row, or a function that a field hides."""
    shadowing_names = {sandbox.WHOLE_ROW, *ENVIRONMENT.globals}
    return any(node.name in shadowing_names for node in sandbox.parse_template(source).find_all(nodes.Name))


def _part_picker(
    parts: Sequence[str | Placeholder], fields: Sequence[str], literals: Sequence[str]
) -> itemgetter[Any]:
    """What picks a template's parts, in order, out of the values of `fields` and then the templates' `literals` texts."""
    pool = [*map(Placeholder, fields), *literals]
    return itemgetter(*map(pool.index, parts), pool.index(""))  # with an empty text they are always several
