"""Jinja with the doors shut: plain JSON values in, bounded text out, and where in it each field stands.

Nothing of a template is run when it is checked or compiled. Rendering bounds the output alone: time and memory are bounded
by the process in which templates that are not ours are rendered (`apart`).
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
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten, strings
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
"""The name under which a template finds all fields, unless a field itself is called so."""
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
    """A text, and the places in it that are a field's value as it stands: (field, start, end) in characters."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class RenderFailure:
    """Why a template gave no text for a row, in plain values.

    Attributes:
        why: the kind of failure; "memory", "time" and "died" are set by the process that renders, and by its keeper;
            "syntax" and "refused" (the template's own `raise_exception`) are failures of chat templates only.
        found: what the message is to show.
        name: the field that is missing or not text; '' where no field is to blame.
        inside: whether a missing name was looked up in a value of the row.
    """

    kind: FailureKind
    detail: str = ""
    name: str = ""
    inside: bool = False


def filter_names() -> list[str]:
    """The filters that a template may use."""
    return sorted(ENVIRONMENT.filters)


@lru_cache(maxsize=4096)
def compile_template(source: str) -> Template:
    """A template ready to render. Raises jinja2's TemplateSyntaxError."""
    return ENVIRONMENT.from_string(source)


def parse_template(source: str) -> nodes.Template:
    """A template's syntax tree. Raises jinja2's TemplateSyntaxError."""
    return ENVIRONMENT.parse(source)


def check(source: str, *, where: str) -> tuple[str, ...]:
    """Compile a template; returns the names that it reads from a row, sorted.

    Raises:
        InputError: it is not valid Jinja, or it reads nothing from the row.
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
    finder.optimizer = None  # as above: nothing is computed here
    finder.visit(tree)
    names = finder.undeclared_identifiers - set(ENVIRONMENT.globals)
    for node in tree.find_all(nodes.Getitem):
        if (
            isinstance(node.node, nodes.Name)
            and node.node.name == WHOLE_ROW
            and isinstance(node.arg, nodes.Const)
        ):
            names.add(str(node.arg.value))
    return tuple(sorted(names - {WHOLE_ROW} or names))


@lru_cache(maxsize=4096)
def may_read_any_field(source: str) -> bool:
    """Whether a template may read fields that it does not name, as `{% for name in row %}` does."""
    tree = ENVIRONMENT.parse(source)
    indexed = {id(node.node) for node in tree.find_all(nodes.Getitem) if isinstance(node.arg, nodes.Const)}
    return any(node.name == WHOLE_ROW and id(node) not in indexed for node in tree.find_all(nodes.Name))


def reference(name: str) -> str:
    """How a template puts a field into the text."""
    is_identifier = name.isidentifier() and name not in _RESERVED
    return f"{{{{ {name} }}}}" if is_identifier else f"{{{{ {WHOLE_ROW}[{name!r}] }}}}"


def render(source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NO_FIELDS) -> RenderedText:
    """Render a template over a row's fields.

    Args:
        source: the template.
        fields: the row's; text that stands untouched in the output has a span.
        extra: values beside them that have none.

    Raises:
        TypeError: a field is no JSON value.
        MissingFieldError, NotTextError, TooLongError: as their names say.
        Exception: whatever a filter or operator raises on values that it was not made for.
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
        text.encode("utf-8")  # a template can write half a character, which no file or tokenizer takes
    return RenderedText(text, tuple(spans))


def _field_holding(value: Any, fields: Mapping[str, Json]) -> str:
    """The field that holds a value, '' where none does; a list with something missing in it compares with nothing."""
    with suppress(Exception):
        return next((n for n, v in fields.items() if type(v) is type(value) and v == value), "")
    return ""


def looks_like_python_repr(text: str) -> bool:
    """Whether a text holds what may be a method or a generator as Python prints it."""
    return _PYTHON_REPR.search(text) is not None


def _refuse_python_repr(text: str, source: str, row: Mapping[str, Any]) -> None:
    """Filters print a method or a generator as Python does, with an address that differs from run to run."""
    for match in _PYTHON_REPR.finditer(text):
        printed = match.group()
        if printed not in source and not any(printed in string for string in strings(dict(row))):
            raise NotTextError(printed)


def try_render(
    source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NO_FIELDS
) -> RenderedText | RenderFailure:
    """Render a template; what goes wrong comes back as a value, whatever it is."""
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
    except Exception as error:  # noqa: BLE001  # a filter may raise anything on values it was not made for
        return RenderFailure("failed", f"{type(error).__name__}: {shorten(str(error), 200)[1:-1]}")


def _copy_json(value: Json, name: str | None = None) -> Any:
    """A copy made of Python's own JSON types only, so that no object with behaviour reaches a template."""
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
