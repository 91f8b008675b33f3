"""Jinja's sandbox with further doors shut: no text of what is no text, no address, nothing random, no name but a row's fields."""

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

_OF_TEXT = frozenset(
    {
        "capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower", "pprint", "replace", "safe", "string",
        "striptags", "title", "trim", "truncate", "upper", "urlize", "wordcount", "wordwrap",
    }
)  # fmt: skip
"""Filters that make text of what they get: of None they would make the word None."""
_NAMED = re.compile(r"%\(([^)]*)\)")


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


class FieldText(str):
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
        name: Any = None,
        exc: Any = UndefinedError,
    ) -> None:
        if exc is UndefinedError:
            said = str(name) if isinstance(name, str | int) else type(name).__name__
            exc = partial(MissingFieldError, name=said, inside=obj is not missing)
        super().__init__(hint, obj, name, exc)


@pass_eval_context
def _printable(_context: nodes.EvalContext, value: Any) -> Any:
    """What may be put into the text: None would read 'None', a list would read as Python writes it.

    It asks for the context because Jinja then computes no constant while it compiles: `{{ 'a' * 10**10 }}` costs nothing
    before it is rendered.
    """
    if isinstance(value, str | Undefined) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise NotTextError(value)


class Method:
    """A method as a template gets it: it can be called, and says nothing of itself, no address above all."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *words: Any, **named: Any) -> Any:
        """Call it; what comes back is shut too."""
        return _shut(self._call(*words, **named))

    def __repr__(self) -> str:
        return "a method"


def _shut(value: Any) -> Any:
    """No generator, whose text would have an address, another one in every run; no bare method for the same reason."""
    if isinstance(value, Iterator):
        return list(value)
    return Method(value) if callable(value) and not isinstance(value, Undefined | Macro | Method) else value


def _filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    place = int(hasattr(function, "jinja_pass_arg"))  # the context or environment comes first

    @wraps(function)  # with the marks by which Jinja knows what to pass
    def shut(*words: Any, **named: Any) -> Any:
        before, given = words[:place], words[place:]
        if name in _OF_TEXT:
            # Only these two put their further words into the text.
            for word in [*given, *named.values()] if name in ("format", "replace") else given[:1]:
                _said(word)
        elif name == "urlencode":
            _all_said(given[0])
        elif name == "join":
            return _shut(_joined(function, before[0], *given, **named))
        return _shut(function(*words, **named))

    return shut


def _joined(join: Callable[..., Any], context: Any, value: Any, d: Any = "", attribute: Any = None) -> Any:
    if attribute is not None:
        value = map(make_attrgetter(context.environment, attribute), value)
    return join(context, [_said(one) for one in value], _said(d))


def _said(value: Any) -> Any:
    """A value that is about to become text, which None and lists must not become."""
    if value is None or isinstance(value, list | tuple | dict):
        raise NotTextError(value)
    return value


def _all_said(value: Any) -> None:
    """The same for the values of a mapping, or of pairs."""
    pairs = list(value.items()) if isinstance(value, dict) else value
    for one in pairs if isinstance(pairs, list) else [value]:
        _said(one[1] if isinstance(one, list | tuple) and len(one) == 2 else one)


class _Formatter(SandboxedFormatter):
    """Python's `format`, for values that may become text."""

    def convert_field(self, value: Any, conversion: Any) -> Any:
        return super().convert_field(_said(value), conversion)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        names = _NAMED.findall(left) if isinstance(left, str) and isinstance(right, dict) else []
        if names:
            for name in names:
                _said(right.get(name, ""))
        elif isinstance(left, str):
            for value in right if isinstance(right, tuple) else (right,):
                _said(value)
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for joined in tree.find_all(nodes.Concat):
            joined.nodes = [nodes.Filter(one, "string", [], [], None, None) for one in joined.nodes]
        return tree

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        text, mapped = str.__str__(value.__self__), value.__name__ == "format_map"

        def formatted(*words: Any, **named: Any) -> str:
            if mapped and (named or len(words) != 1):
                raise TypeError("format_map takes one mapping")
            return _Formatter(self).vformat(text, () if mapped else words, words[0] if mapped else named)

        return formatted

    def getattr(self, obj: Any, attribute: str) -> Any:
        return _shut(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return _shut(super().getitem(obj, argument))


def _environment() -> _Environment:
    # Autoescape is off because the text goes to a model, not into HTML; the report escapes what it shows.
    made = _Environment(
        autoescape=False, undefined=_Undefined, finalize=_printable, loader=None, optimized=False
    )
    del made.filters["random"]  # the same row has the same words, today and tomorrow
    made.filters.update({name: _filter(name, function) for name, function in made.filters.items()})
    # A row's fields are the only names: a missing field called `dict` shall be missing, not Python's dict.
    known: dict[str, Any] = dict(made.globals)
    made.globals = {name: Method(known[name]) for name in ("range", "namespace")}
    return made


ENVIRONMENT = _environment()
