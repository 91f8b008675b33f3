"""The Jinja environment of task templates: the sandbox, and stricter.

Nulls, lists and objects never become text, no memory address is printed, nothing is random, and the only names are a row's fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

from jinja2 import StrictUndefined, Undefined, UndefinedError, nodes, pass_eval_context
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import missing

_TEXT_FILTERS = frozenset(
    {
        "capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower", "pprint", "replace", "safe", "string",
        "striptags", "title", "trim", "truncate", "upper", "urlize", "wordcount", "wordwrap",
    }
)  # fmt: skip
"""Filters that convert their input to text; None would become the word None."""
_NAMED_FORMAT = re.compile(r"%\(([^)]*)\)")


class MissingFieldError(TemplateRuntimeError):
    """The template reads a name that the row does not have; `inside` if it is looked up inside a value of the row."""

    def __init__(self, message: str | None = None, *, name: str = "", inside: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.inside = inside


class NotTextError(TemplateRuntimeError):
    """The template prints a value that is neither text nor a number."""

    def __init__(self, value: Any) -> None:
        super().__init__("a value that is neither text nor a number")
        self.value = value


class TooLongError(TemplateRuntimeError):
    """The rendered text is longer than the limit."""


class FieldText(str):
    """A field's text that remembers its field, so that it is recognised if the template prints it unchanged.

    Any operation (a filter, slicing, joining) gives a plain str, so a span is only recorded where the field's whole value is in
    the output.
    """

    __slots__ = ("_field",)
    _field: str

    def __str__(self) -> str:
        return self


class _Undefined(StrictUndefined):
    """An undefined name that raises MissingFieldError with the name when it is used."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: Any = None,
        exc: Any = UndefinedError,
    ) -> None:
        if exc is UndefinedError:
            missing_name = str(name) if isinstance(name, str | int) else type(name).__name__
            exc = partial(MissingFieldError, name=missing_name, inside=obj is not missing)
        super().__init__(hint, obj, name, exc)


@pass_eval_context
def _printable(_context: nodes.EvalContext, value: Any) -> Any:
    """Refuse values that are neither text nor a number: None would print as 'None', a list in Python's notation.

    Taking the eval context keeps Jinja from folding constants at compile time: `{{ 'a' * 10**10 }}` costs nothing until it is
    rendered.
    """
    if isinstance(value, str | Undefined) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise NotTextError(value)


class SafeMethod:
    """A method as templates see it: callable, without attributes, and printed without its address."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method and sanitize the result."""
        return _sanitize(self._call(*args, **kwargs))

    def __repr__(self) -> str:
        return "a method"


def _sanitize(value: Any) -> Any:
    """Turn generators into lists and wrap methods: printed, both would show an address that differs from run to run."""
    if isinstance(value, Iterator):
        return list(value)
    return (
        SafeMethod(value)
        if callable(value) and not isinstance(value, Undefined | Macro | SafeMethod)
        else value
    )


def _safe_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    context_args = int(hasattr(function, "jinja_pass_arg"))  # the context or environment comes first

    @wraps(function)  # with the marks by which Jinja knows what to pass
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        context, values = args[:context_args], args[context_args:]
        if name in _TEXT_FILTERS:
            # Only these two filters insert their further arguments into the text.
            for value in [*values, *kwargs.values()] if name in ("format", "replace") else values[:1]:
                _require_text(value)
        elif name == "urlencode":
            _require_texts(values[0])
        elif name == "join":
            return _sanitize(_safe_join(function, context[0], *values, **kwargs))
        return _sanitize(function(*args, **kwargs))

    return wrapped


def _safe_join(join: Callable[..., Any], context: Any, value: Any, d: Any = "", attribute: Any = None) -> Any:
    if attribute is not None:
        value = map(make_attrgetter(context.environment, attribute), value)
    return join(context, [_require_text(item) for item in value], _require_text(d))


def _require_text(value: Any) -> Any:
    """Raise NotTextError for None, a list or an object that is about to become text."""
    if value is None or isinstance(value, list | tuple | dict):
        raise NotTextError(value)
    return value


def _require_texts(value: Any) -> None:
    """`_require_text` for the values of a mapping, or of pairs."""
    pairs = list(value.items()) if isinstance(value, dict) else value
    for pair in pairs if isinstance(pairs, list) else [value]:
        _require_text(pair[1] if isinstance(pair, list | tuple) and len(pair) == 2 else pair)


class _SafeFormatter(SandboxedFormatter):
    """Python's `str.format`, refusing values that must not become text."""

    def convert_field(self, value: Any, conversion: Any) -> Any:
        return super().convert_field(_require_text(value), conversion)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        names = _NAMED_FORMAT.findall(left) if isinstance(left, str) and isinstance(right, dict) else []
        if names:
            for name in names:
                _require_text(right.get(name, ""))
        elif isinstance(left, str):
            for value in right if isinstance(right, tuple) else (right,):
                _require_text(value)
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for concat in tree.find_all(nodes.Concat):
            concat.nodes = [nodes.Filter(node, "string", [], [], None, None) for node in concat.nodes]
        return tree

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        text, is_format_map = str.__str__(value.__self__), value.__name__ == "format_map"

        def formatted(*args: Any, **kwargs: Any) -> str:
            if is_format_map and (kwargs or len(args) != 1):
                raise TypeError("format_map takes one mapping")
            return _SafeFormatter(self).vformat(
                text, () if is_format_map else args, args[0] if is_format_map else kwargs
            )

        return formatted

    def getattr(self, obj: Any, attribute: str) -> Any:
        return _sanitize(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return _sanitize(super().getitem(obj, argument))


def _create_environment() -> _Environment:
    # Autoescape is off because the text goes to a model, not into HTML; the report escapes what it shows.
    env = _Environment(
        autoescape=False, undefined=_Undefined, finalize=_printable, loader=None, optimized=False
    )
    del env.filters["random"]  # a row must always give the same text
    env.filters.update({name: _safe_filter(name, function) for name, function in env.filters.items()})
    # A row's fields are the only names: a missing field called `dict` shall be missing, not Python's dict.
    jinja_globals: dict[str, Any] = dict(env.globals)
    env.globals = {name: SafeMethod(jinja_globals[name]) for name in ("range", "namespace")}
    return env


ENVIRONMENT = _create_environment()
