"""Templates that only put fields into a text, such as `Summarize: {{ dialogue }}`: filled without running Jinja.

They compute nothing, so they are also safe to fill in this process, whoever wrote them. The outcome is `sandbox`'s to the
letter: what is not plain text or a number is left to it, and so is every mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from jinja2 import nodes

from tutelage.core.limits import MAX_RENDERED_CHARACTERS
from tutelage.core.types import Json
from tutelage.templates import sandbox
from tutelage.templates.sandbox import NO_FIELDS, RenderedText, RenderFailure, Span

_JINJA_NAMES = frozenset({"self", "loop", "super", "caller", "varargs", "kwargs", sandbox.WHOLE_ROW})
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Placeholder(NamedTuple):
    """A place in a text where a field stands."""

    name: str


@lru_cache(maxsize=4096)
def parse_placeholders(source: str) -> tuple[str | Placeholder, ...] | None:
    """The texts and gaps of a template; None when it does anything else. Raises jinja2's TemplateSyntaxError."""
    parts: list[str | Placeholder] = []
    for output in sandbox.parse_template(source).body:
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
    """Render a template as `sandbox.try_render` does."""
    filled = fill(source, fields, extra)
    return sandbox.try_render(source, fields, extra) if filled is None else filled


def fill(
    source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NO_FIELDS
) -> RenderedText | None:
    """Fill a template's gaps; None when it has more than gaps, or a row that is not plain."""
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
    """Text that looks like Python's own, or holds half a character, is for the sandbox to judge."""
    return (text.isascii() or _is_whole_unicode(text)) and not (
        "<" in text and sandbox.looks_like_python_repr(text)
    )


def _is_plain(values: Mapping[str, Json]) -> bool:
    """Whether all values are JSON's simple ones, and exactly these: the sandbox copies others, or refuses them."""
    return _SCALARS.issuperset(map(type, values.values()))


def _is_whole_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
