"""Fills templates that only insert fields into text, such as `Summarize: {{ dialogue }}`, without running Jinja.

They compute nothing, so they are safe to fill in this process, whoever wrote them. The result is exactly that of `sandbox`, which
handles values other than text and numbers, and all mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from jinja2 import nodes

from tutelage.core.limits import MAX_RENDERED_CHARACTERS
from tutelage.core.types import Json
from tutelage.templates import sandbox
from tutelage.templates.environment import ENVIRONMENT
from tutelage.templates.sandbox import NO_FIELDS, RenderedText, RenderFailure, Span

_JINJA_NAMES = frozenset({"self", "loop", "super", "caller", "varargs", "kwargs", sandbox.WHOLE_ROW})
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Placeholder(NamedTuple):
    """The place of a field in a template."""

    name: str


@lru_cache(maxsize=4096)
def parse_placeholders(source: str) -> tuple[str | Placeholder, ...] | None:
    """A template's texts and placeholders; None if it does anything else. Raises jinja2's TemplateSyntaxError."""
    parts: list[str | Placeholder] = []
    for output in ENVIRONMENT.parse(source).body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data)
            elif isinstance(node, nodes.Name) and node.name not in _JINJA_NAMES:
                parts.append(Placeholder(node.name))
            else:
                return None
    return tuple(parts)


def try_render(
    source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NO_FIELDS
) -> RenderedText | RenderFailure:
    """Render a template with the result of `sandbox.try_render`, without running Jinja where possible."""
    filled = fill(source, fields, extra)
    return sandbox.try_render(source, fields, extra) if filled is None else filled


def fill(
    source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NO_FIELDS
) -> RenderedText | None:
    """Fill a template's placeholders; None if it has other code, or the row other values than text and numbers."""
    parts = parse_placeholders(source)
    if parts is None or not _is_plain(fields) or not _is_plain(extra):
        return None
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    for part in parts:
        if type(part) is str:
            piece = part
        else:
            name = part[0]
            value = extra[name] if name in extra else fields.get(name)
            if type(value) is str:
                piece = value
                if piece and name not in extra:
                    spans.append((name, length, length + len(piece)))
            elif type(value) is int or type(value) is float:
                piece = str(value)
            else:
                return None
        length += len(piece)
        if length > MAX_RENDERED_CHARACTERS:
            return None
        pieces.append(piece)
    text = "".join(pieces)
    return RenderedText(text, tuple(spans)) if is_safe_text(text) else None


def is_safe_text(text: str) -> bool:
    """Whether a text needs no check by the sandbox: it has no lone surrogate and does not look like a Python object's repr."""
    return (text.isascii() or _is_whole_unicode(text)) and not (
        "<" in text and sandbox.looks_like_python_repr(text)
    )


def _is_plain(values: Mapping[str, Json]) -> bool:
    """Whether all values are of exactly JSON's scalar types; the sandbox copies or refuses others."""
    return _SCALARS.issuperset(map(type, values.values()))


def _is_whole_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
