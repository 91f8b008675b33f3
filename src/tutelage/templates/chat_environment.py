"""Renders chat templates as transformers' `apply_chat_template` does, without importing transformers.

The texts are byte for byte the same (`tests/tokens/test_rendering.py`). They differ only where transformers' text depends on more
than template and conversation: the clock shows a fixed instant and records what is read from it, the filter `random` is seeded by
the conversation, `lipsum` does not exist, and texts with memory addresses are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes, pass_context, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from tutelage.core import hashing
from tutelage.core.clock import EVERYTHING, MOST_FORMATS, Instant
from tutelage.core.limits import MAX_CHAT_FRAME_CHARACTERS, MAX_RENDERED_CHARACTERS
from tutelage.core.strictjson import shorten
from tutelage.templates.environment import TooLongError
from tutelage.templates.sandbox import RenderFailure

_MEMORY_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")
MAX_NOTED_CHARACTERS = 200
"""Longest clock format or result that is recorded; for longer ones the whole instant is recorded."""


class RenderedChat(NamedTuple):
    """A rendered conversation, and what the template read from the clock (text by format)."""

    text: str
    reads: Mapping[str, str]


class _Generation(Extension):
    """The tag `{% generation %}...{% endgeneration %}`, which marks assistant text; it renders its body unchanged."""

    tags = {"generation"}  # noqa: RUF012  # Jinja's own declaration

    def parse(self, parser: Parser) -> nodes.Node:
        """Parse the tag as a call block, so that its body has its own scope."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    @pass_eval_context
    def _body(self, _context: nodes.EvalContext, caller: Macro) -> str:
        return str(caller())


class _Dict:
    """`dict` for templates, without access to Python's class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """As dict.fromkeys."""
        return dict.fromkeys(*args, **kwargs)


class _Namespace(Namespace):
    """Jinja's namespace, refusing attributes that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # a template may name an attribute `self`
        self, *positional = args
        attributes = dict(*positional, **kwargs)
        for name in attributes:
            _refuse_underscore(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        Namespace.__setitem__(self, name, value)


def _refuse_underscore(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no attribute that begins with an underscore: {name!r}")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002  # templates may give these by place
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: Any) -> None:
    raise TemplateError(message)


class _RenderState:
    """State that a template reads besides the conversation: a clock that records reads, and seeded random draws."""

    def __init__(self) -> None:
        self.begin(Instant.now(), str)

    def begin(self, instant: Instant, seed: Callable[[], str]) -> None:
        """Reset the state for the next text."""
        self.instant, self.seed, self._draws = instant, seed, 0
        self.reads: dict[str, str] = {}

    def strftime_now(self, form: str) -> str:
        """Format the instant, and record the result."""
        text = self.instant.strftime(form)
        if len(self.reads) <= MOST_FORMATS:
            is_short = len(form) <= MAX_NOTED_CHARACTERS and len(text) <= MAX_NOTED_CHARACTERS
            self.reads.update({form: text} if is_short else {EVERYTHING: str(self.instant)})
        return text

    def draw(self, values: Sequence[Any]) -> Any:
        """Draw one of the values; the same conversation always gets the same draws."""
        self._draws += 1
        return values[int(hashing.of_text(f"{self._draws} {self.seed()}"), 16) % len(values)]


_STATE = _RenderState()


def _strftime_now(format: str) -> str:  # noqa: A002  # templates may give it by name
    return _STATE.strftime_now(format)


@pass_context
def _random(context: Context, values: Sequence[Any]) -> Any:
    if not values:
        return context.environment.undefined("no random item: the sequence is empty")
    return _STATE.draw(values)


def chat_jinja_environment() -> ImmutableSandboxedEnvironment:
    """The Jinja environment of chat templates; clock and random draws are those of the text being rendered."""
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    env.filters.update(tojson=_to_json, random=_random)
    env.globals.update(
        raise_exception=_raise_exception,
        strftime_now=_strftime_now,
        dict=_Dict(),
        namespace=_Namespace,
    )
    del env.globals["lipsum"]  # it generates random text
    return env


_ENVIRONMENT = chat_jinja_environment()


@lru_cache(maxsize=16)
def _compile(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


def render_chat(
    template: str, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], instant: Instant
) -> RenderedChat:
    """Render one conversation.

    Args:
        template: the chat template.
        messages: role and content of each turn.
        variables: whether the assistant's turn is opened (`add_generation_prompt`), and the tokenizer's special tokens.
        instant: what the template's clock shows.

    Raises:
        Exception: whatever the template raises; `try_render_chat` turns it into a `RenderFailure`.
    """
    _STATE.begin(instant, lambda: json.dumps([template, messages]))
    pieces, length, limit = [], 0, _max_characters(messages)
    values = {"messages": messages, "tools": None, "documents": None, **variables}
    for piece in _compile(template).generate(values):
        length += len(piece)
        if length > limit:
            raise TooLongError(f"more than {limit:,} characters")
        pieces.append(piece)
    text = "".join(pieces)
    if " at 0x" in text:
        _refuse_addresses(text, template, messages)
    if not text.isascii():
        text.encode("utf-8")  # raises for a lone surrogate, which no tokenizer accepts
    return RenderedChat(text, _STATE.reads)


def _max_characters(messages: Sequence[Mapping[str, Any]]) -> int:
    """The most characters that a conversation may have as text: a character of a message may need twelve where it is escaped."""
    contents = sum(1_000 + 12 * sum(map(len, map(str, message.values()))) for message in messages)
    return min(MAX_CHAT_FRAME_CHARACTERS + contents, MAX_RENDERED_CHARACTERS)


def _refuse_addresses(text: str, template: str, messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse memory addresses: a method or macro that is printed instead of called shows one, different in every process."""
    sources = [template, *(str(value) for message in messages for value in message.values())]
    for match in _MEMORY_ADDRESS.finditer(text):
        if not any(match.group() in source for source in sources):
            raise SecurityError(f"it prints a part of Python: {shorten(match.group())}")


def try_render_chat(
    template: str, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], instant: Instant
) -> RenderedChat | RenderFailure:
    """Render one conversation; any error is returned as a `RenderFailure`."""
    try:
        return render_chat(template, messages, variables, instant)
    except TemplateSyntaxError as error:
        return RenderFailure("syntax", f"line {error.lineno}: {_shorten_message(error.message)}")
    except (SecurityError, TooLongError) as error:
        return RenderFailure(
            "too-long" if isinstance(error, TooLongError) else "forbidden", _shorten_message(error)
        )
    except MemoryError:
        return RenderFailure("memory")
    except Exception as error:  # noqa: BLE001  # templates and filters raise anything
        if type(error) is TemplateError:
            return RenderFailure("refused", _shorten_message(error.message))
        return RenderFailure("failed", f"{type(error).__name__}: {_shorten_message(error)}")


def _shorten_message(value: object) -> str:
    return shorten(str(value), 200)[1:-1]
