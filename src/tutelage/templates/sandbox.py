"""Checks and renders sandboxed Jinja templates: plain JSON values in, text of bounded length and the fields' spans out.

Checking or compiling a template runs none of its code. Rendering here bounds only the output's length; for untrusted templates,
time and memory are bounded by a child process (`subprocess_renderer`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from jinja2 import Template, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RENDERED_CHARACTERS
from tutelage.core.strictjson import json_kind, shorten, strings
from tutelage.core.types import Json
from tutelage.templates.environment import (
    ENVIRONMENT,
    FieldText,
    MissingFieldError,
    NotTextError,
    TooLongError,
)

Span = tuple[str, int, int]
FailureKind = Literal[
    "missing", "not-text", "too-long", "forbidden", "failed", "memory", "time", "died", "syntax", "refused"
]
_PYTHON_REPR = re.compile(
    r"<(?:class|built-in|bound|function|generator|module|method|Macro|Namespace)\b[^<>]*>|<[^<>]* at 0x[0-9a-f]+>"
)
NO_FIELDS: Mapping[str, Json] = MappingProxyType({})
WHOLE_ROW = "row"
"""The name of the object with all fields in a template, unless a field has this name."""
_RESERVED = {
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "self",
}


class RenderedText(NamedTuple):
    """A rendered text with its spans: the places of fields printed unchanged, as (field, start, end) in characters."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class RenderFailure:
    """Why a template gave no text for a row, in plain values.

    Attributes:
        kind: the kind of failure; "memory", "time" and "died" come from the child process and its parent; "syntax" and "refused"
            (the template's own `raise_exception`) occur for chat templates only.
        detail: the found value for the error message.
        name: the field that is missing or not text; '' if no field is to blame.
        inside: whether a missing name was looked up inside a value of the row.
    """

    kind: FailureKind
    detail: str = ""
    name: str = ""
    inside: bool = False


@lru_cache(maxsize=4096)
def compile_template(source: str) -> Template:
    """Compile a template. Raises jinja2's TemplateSyntaxError."""
    return ENVIRONMENT.from_string(source)


def check(source: str, *, where: str) -> tuple[str, ...]:
    """Compile a template; returns the names that it reads from a row, sorted.

    Raises:
        InputError: the template is not valid Jinja, or reads no field of the row.
    """
    try:
        compile_template(source)
        names = fields_read(source)
    except TemplateSyntaxError as error:
        lines = source.splitlines() or [""]
        raise InputError(
            f"the template is not valid Jinja: {error.message}",
            where=where,
            found=f"line {error.lineno}: {shorten(lines[min(error.lineno, len(lines)) - 1])}",
            expected="text with {{ field }} and {% if field %}...{% endif %}",
            fix="correct that line",
        ) from None
    except (RecursionError, MemoryError, SyntaxError):
        raise InputError(
            "the template is nested too deeply", where=where, found=shorten(source), fix="make it simpler"
        ) from None
    except (ValueError, OverflowError) as error:
        raise InputError(
            "the template is not valid Jinja",
            where=where,
            found=f"{shorten(source)}: {error}",
            expected="text with {{ field }} and {% if field %}...{% endif %}",
            fix="correct it",
        ) from None
    if not names:
        raise InputError(
            "the template uses no field of the rows",
            where=where,
            found=shorten(source),
            expected="at least one {{ field }}",
            fix="write the field's name in two pairs of braces",
        )
    return names


@lru_cache(maxsize=4096)
def fields_read(source: str) -> tuple[str, ...]:
    """The fields that a template reads, sorted: `{{ name }}`, and `{{ row['any name'] }}` for names with spaces and the like."""
    tree = ENVIRONMENT.parse(source)
    finder = meta.TrackingCodeGenerator(ENVIRONMENT)
    finder.optimizer = None  # run nothing: no constant folding
    finder.visit(tree)
    names = finder.undeclared_identifiers - set(ENVIRONMENT.globals)
    names |= {
        str(node.arg.value)
        for node in tree.find_all(nodes.Getitem)
        if isinstance(node.node, nodes.Name)
        and node.node.name == WHOLE_ROW
        and isinstance(node.arg, nodes.Const)
    }
    return tuple(sorted(names - {WHOLE_ROW} or names))


@lru_cache(maxsize=4096)
def may_read_any_field(source: str) -> bool:
    """Whether a template may read fields that it does not name, such as `{% for name in row %}`."""
    tree = ENVIRONMENT.parse(source)
    indexed = {id(node.node) for node in tree.find_all(nodes.Getitem) if isinstance(node.arg, nodes.Const)}
    return any(node.name == WHOLE_ROW and id(node) not in indexed for node in tree.find_all(nodes.Name))


def reference(name: str) -> str:
    """The placeholder that inserts a field: `{{ name }}`, or `{{ row['any name'] }}`."""
    is_identifier = name.isidentifier() and name not in _RESERVED
    return f"{{{{ {name} }}}}" if is_identifier else f"{{{{ {WHOLE_ROW}[{name!r}] }}}}"


def render(source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NO_FIELDS) -> RenderedText:
    """Render a template over a row's fields.

    Args:
        source: the template.
        fields: the row's fields; those printed unchanged get spans.
        extra: further values, without spans.

    Raises:
        TypeError: a field is not a JSON value.
        MissingFieldError, NotTextError, TooLongError: as their names say.
        Exception: whatever a filter or operator raises on unsuitable values.
    """
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    row = {name: _copy_json(value, name) for name, value in fields.items()}
    extra_values = {name: _copy_json(value) for name, value in extra.items()}
    for piece in compile_template(source).generate({WHOLE_ROW: row, **row, **extra_values}):
        start, length = length, length + len(piece)
        if length > MAX_RENDERED_CHARACTERS:
            raise TooLongError(f"more than {MAX_RENDERED_CHARACTERS:,} characters")
        if isinstance(piece, FieldText) and piece:
            spans.append((piece._field, start, length))  # noqa: SLF001  # the underscore keeps templates out
        pieces.append(piece)
    text = "".join(pieces)
    if "<" in text:
        _refuse_python_repr(text, source, row)
    if not text.isascii():
        text.encode("utf-8")  # raises for a lone surrogate, which no file or tokenizer accepts
    return RenderedText(text, tuple(spans))


def _field_holding(value: Any, fields: Mapping[str, Json]) -> str:
    """The field with a value, '' if there is none. A list with an undefined item raises when it is compared."""
    with suppress(Exception):
        return next((n for n, v in fields.items() if type(v) is type(value) and v == value), "")
    return ""


def looks_like_python_repr(text: str) -> bool:
    """Whether a text contains what may be the repr of a Python object, such as a method or a generator."""
    return _PYTHON_REPR.search(text) is not None


def _refuse_python_repr(text: str, source: str, row: Mapping[str, Any]) -> None:
    """Refuse reprs of Python objects that filters print: their addresses differ from run to run."""
    for match in _PYTHON_REPR.finditer(text):
        printed = match.group()
        if printed not in source and not any(printed in string for string in strings(dict(row))):
            raise NotTextError(printed)


def try_render(
    source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NO_FIELDS
) -> RenderedText | RenderFailure:
    """Render a template; any error is returned as a `RenderFailure`."""
    try:
        return render(source, fields, extra)
    except MissingFieldError as error:
        return RenderFailure("missing", name=error.name, inside=error.inside)
    except NotTextError as error:
        return RenderFailure("not-text", json_kind(error.value), name=_field_holding(error.value, fields))
    except (TooLongError, SecurityError) as error:
        return RenderFailure("too-long" if isinstance(error, TooLongError) else "forbidden", str(error))
    except MemoryError:
        return RenderFailure("memory")
    except Exception as error:  # noqa: BLE001  # a filter may raise anything on unsuitable values
        return RenderFailure("failed", f"{type(error).__name__}: {shorten(str(error), 200)[1:-1]}")


def _copy_json(value: Json, name: str | None = None) -> Any:
    """A deep copy of JSON types only, so that no object with methods of its own reaches a template."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str):
        if name is None:
            return str(value)
        text = FieldText(value)
        text._field = name  # noqa: SLF001  # as above
        return text
    if isinstance(value, list | tuple):
        return [_copy_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _copy_json(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is no JSON value")
