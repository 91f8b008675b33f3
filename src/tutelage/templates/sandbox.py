"""Jinja with the doors shut: plain JSON values in, bounded text out, and where in it each field stands.

Not covered: a template may use much time or memory before its output is seen to be too long. A recipe's templates are its
author's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, UndefinedError, meta, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RENDERED_CHARACTERS
from tutelage.core.nouns import Json
from tutelage.core.strictjson import shorten

Span = tuple[str, int, int]
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


class Rendered(NamedTuple):
    """A text, and the places in it that are a field's value as it stands: (field, start, end) in characters."""

    text: str
    spans: tuple[Span, ...]


class MissingFieldError(TemplateRuntimeError):
    """The template used a name that the row does not have; `inside` when it is looked up in a value of the row."""

    def __init__(self, message: str | None = None, *, name: str = "", inside: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.inside = inside


class NotTextError(TemplateRuntimeError):
    """The template put a value into the text that is neither text nor a number."""

    def __init__(self, value: Any) -> None:
        super().__init__("a value that is neither text nor a number")
        self.value = value


class TooLongError(TemplateRuntimeError):
    """The rendered text passes the limit."""


class _FieldText(str):
    """A field's text that still knows its field when it comes out of the template untouched.

    Any operation (a filter, slicing, joining) makes a plain str of it, so a span is only ever claimed where the
    field's whole value stands in the output.
    """

    __slots__ = ("_field",)
    _field: str

    def __str__(self) -> str:
        return self


class _Undefined(StrictUndefined):
    """Says which name is missing, as data."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: Any = UndefinedError,
    ) -> None:
        if exc is UndefinedError:
            exc = partial(MissingFieldError, name=str(name), inside=obj is not missing)
        super().__init__(hint, obj, name, exc)


def _printable(value: Any) -> Any:
    """What may be put into the text: None would read 'None', a list would read as Python writes it."""
    if isinstance(value, str | Undefined) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise NotTextError(value)


def _environment() -> ImmutableSandboxedEnvironment:
    # Autoescape is off because the text goes to a model, not into HTML; the report escapes what it shows.
    made = ImmutableSandboxedEnvironment(
        autoescape=False, undefined=_Undefined, finalize=_printable, loader=None
    )
    # A row's fields are the only names: a missing field called `dict` shall be missing, not Python's dict.
    made.globals = {name: made.globals[name] for name in ("range", "namespace")}
    return made


_ENVIRONMENT = _environment()


@lru_cache(maxsize=4096)
def compiled(source: str) -> Template:
    """A template ready to render. Raises jinja2's TemplateSyntaxError."""
    return _ENVIRONMENT.from_string(source)


def check(source: str, *, where: str) -> tuple[str, ...]:
    """Compile a template; returns the names that it reads from a row, sorted.

    Raises:
        InputError: it is not valid Jinja, or it reads nothing from the row.
    """
    try:
        compiled(source)
        names = reads(source)
    except TemplateSyntaxError as error:
        lines = source.splitlines() or [""]
        raise InputError(
            f"the template is not valid Jinja: {error.message}",
            where=where,
            found=f"line {error.lineno}: {shorten(lines[min(error.lineno, len(lines)) - 1])}",
            expected="text with {{ field }} and {% if field %}...{% endif %}",
            fix="correct that line",
        ) from None
    except RecursionError:
        raise InputError(
            "the template is nested too deeply", where=where, found=shorten(source), fix="make it simpler"
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
def reads(source: str) -> tuple[str, ...]:
    """The fields that a template reads, sorted: `{{ name }}`, and `{{ row['any name'] }}` for names with spaces and the like."""
    tree = _ENVIRONMENT.parse(source)
    names = meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)
    for node in tree.find_all(nodes.Getitem):
        if (
            isinstance(node.node, nodes.Name)
            and node.node.name == WHOLE_ROW
            and isinstance(node.arg, nodes.Const)
        ):
            names.add(str(node.arg.value))
    return tuple(sorted(names - {WHOLE_ROW} or names))


def reference(name: str) -> str:
    """How a template puts a field into the text."""
    plain = name.isidentifier() and name not in _RESERVED
    return f"{{{{ {name} }}}}" if plain else f"{{{{ {WHOLE_ROW}[{name!r}] }}}}"


def render(source: str, fields: Mapping[str, Json]) -> Rendered:
    """Render a template over a row's fields.

    Raises:
        TypeError: a field is no JSON value.
        MissingFieldError, NotTextError, TooLongError: as their names say.
        Exception: whatever a filter or operator raises on values that it was not made for.
    """
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    row = {name: _plain(value, name) for name, value in fields.items()}
    for piece in compiled(source).generate({WHOLE_ROW: row, **row}):
        start, length = length, length + len(piece)
        if length > MAX_RENDERED_CHARACTERS:
            raise TooLongError(f"more than {MAX_RENDERED_CHARACTERS:,} characters")
        if isinstance(piece, _FieldText) and piece:
            spans.append((piece._field, start, length))  # noqa: SLF001  # the underscore keeps templates out
        pieces.append(piece)
    return Rendered("".join(pieces), tuple(spans))


def _plain(value: Json, name: str | None = None) -> Any:
    """A copy made of Python's own JSON types only, so that no object with behaviour reaches a template."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str):
        if name is None:
            return str(value)
        text = _FieldText(value)
        text._field = name  # noqa: SLF001  # as above
        return text
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is no JSON value")
