"""Conversations to text by the chat template that is set on a tokenizer, and the clock that the template reads.

The template runs in a child process (`templates.chat_renderer`). Where it is shown to write contents as they stand, it runs
once for all conversations with the same roles: it is given a mark in place of each content, and the contents are put
between the pieces of its text here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any
from weakref import WeakKeyDictionary

from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_TEMPLATE_BYTES
from tutelage.templates import chat_renderer
from tutelage.templates.chat_environment import RenderedChat
from tutelage.templates.sandbox import RenderFailure
from tutelage.tokens.chat_templates import bundled_names
from tutelage.tokens.template_fixes import advice, start_token

Message = Mapping[str, str]
MARK_START, MARK_END = "\ue0f1", "\ue0f2"
MARK = MARK_START + "{}" + MARK_END
"""Stands for the content with this number; its characters are of Unicode's private use area."""
CLOCK_NAME = "strftime_now"
"""The only name by which a chat template can reach its clock."""
MAX_ROLE_SEQUENCES = 1000
"""Sequences of roles whose pieces are cached for a tokenizer."""
_FIELD = "chat_template"


class RenderLimitError(InputError):
    """The chat template took more memory or time than a text may take; another try would take as much again."""


@dataclass(slots=True)
class _TemplateUse:
    """One tokenizer's template: its clock, where its text comes from, the model's own if it is another, its pieces by roles."""

    clock: Clock = field(default_factory=Clock)
    where: str = _FIELD
    own: str | None = None
    pieces: dict[tuple[Any, ...], list[str] | None] = field(default_factory=dict)


_USES: WeakKeyDictionary[Any, _TemplateUse] = WeakKeyDictionary()


def set_template(
    tokenizer: Any,
    template: str | None,
    *,
    clock: Clock | None = None,
    where: str = _FIELD,
    own: str | None = None,
) -> None:
    """Set a tokenizer's chat template.

    Args:
        tokenizer: a fast transformers tokenizer.
        template: the Jinja text; None for none.
        clock: what the template reads when it asks for the time; one that shows this moment by default.
        where: the file or field that the template comes from, for errors.
        own: the model's own template, which errors may advise; None where there is none.
    """
    tokenizer.chat_template = template
    _USES[tokenizer] = _TemplateUse(clock or Clock(), where, None if own == template else own)


def clock_of(tokenizer: Any) -> Clock:
    """The clock that a tokenizer's chat template reads."""
    return _use_of(tokenizer).clock


def other_templates(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> str:
    """Say which other chat templates write all these conversations, each up to a question, for the fix of an error."""
    use = _use_of(tokenizer)
    return advice(tokenizer, conversations, use.clock.instant, own=use.own)


def may_read_clock(tokenizer: Any) -> bool:
    """Whether the template holds the clock's name; without the name it cannot read it, with the name it may not."""
    return CLOCK_NAME in (tokenizer.chat_template or "")


def render(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> str:
    """Render a conversation as text, with the assistant's turn opened when `generate`.

    Raises:
        InputError: the tokenizer has no chat template, or the template refuses these messages or takes too much.
    """
    return render_all(tokenizer, [messages], generate=generate)[0]


def render_all(tokenizer: Any, conversations: Sequence[Sequence[Message]], *, generate: bool) -> list[str]:
    """Render several conversations. Raises as `render`, for the first one that fails, without saying which it is."""
    template = _template(tokenizer)
    use = _use_of(tokenizer)
    if not chat_renderer.writes_contents_verbatim(template):
        return _rendered(tokenizer, conversations, use, generate=generate)
    state = (template, tuple(tokenizer.special_tokens_map.items()), generate)
    texts: list[str] = []
    for messages in conversations:
        roles = tuple(message["role"] for message in messages)
        if (*state, roles) not in use.pieces:
            if len(use.pieces) >= MAX_ROLE_SEQUENCES:
                use.pieces.clear()
            use.pieces[(*state, roles)] = _pieces(tokenizer, roles, use, generate=generate)
        pieces = use.pieces[(*state, roles)]
        if pieces is None or any(len(message) != 2 for message in messages):
            texts += _rendered(tokenizer, [messages], use, generate=generate)
        else:
            contents = [message["content"] for message in messages]
            texts.append("".join(chain.from_iterable(zip_longest(pieces, contents, fillvalue=""))))
    return texts


def _pieces(tokenizer: Any, roles: Sequence[str], use: _TemplateUse, *, generate: bool) -> list[str] | None:
    """What the template writes around the contents of conversations with these roles; None where it changes or moves one."""
    numbers = [str(number) for number in range(len(roles))]
    messages = [
        {"role": role, "content": MARK.format(number)} for role, number in zip(roles, numbers, strict=True)
    ]
    (text,) = _rendered(tokenizer, [messages], use, generate=generate)
    # The texts between the marks, and the marks' numbers, in turns.
    parts = re.split(MARK.format("(.*?)"), text, flags=re.DOTALL)
    changed = parts[1::2] != numbers or any(MARK_START in part or MARK_END in part for part in parts)
    return None if changed else parts[::2]


def _rendered(
    tokenizer: Any, conversations: Sequence[Sequence[Message]], use: _TemplateUse, *, generate: bool
) -> list[str]:
    outcomes = _outcomes(tokenizer, conversations, use, generate=generate)
    texts = []
    # After a failure the outcomes may end early; the failure is raised before that.
    for messages, outcome in zip(conversations, outcomes, strict=False):
        if isinstance(outcome, RenderFailure):
            raise _error(tokenizer, outcome, messages, use.where)
        if outcome.reads:
            use.clock.note(outcome.reads)
        texts.append(outcome.text)
    return texts


def _outcomes(
    tokenizer: Any, conversations: Sequence[Sequence[Message]], use: _TemplateUse, *, generate: bool
) -> list[RenderedChat | RenderFailure]:
    variables = {"add_generation_prompt": generate, **tokenizer.special_tokens_map}
    return chat_renderer.render(tokenizer.chat_template, conversations, variables, use.clock.instant)


def _use_of(tokenizer: Any) -> _TemplateUse:
    return _USES.setdefault(tokenizer, _TemplateUse())


def _template(tokenizer: Any) -> str:
    if tokenizer.chat_template:
        return str(tokenizer.chat_template)
    raise InputError(
        "this model has no chat template",
        where=_FIELD,
        found="a tokenizer without one, as base models have it",
        expected=f"a bundled template ({', '.join(bundled_names())}) or the path of a Jinja file",
        fix=f"write `chat_template: {_plain_template(tokenizer)}` into the recipe: "
        "the prompt, a line break, then the answer",
    )


def _error(tokenizer: Any, failure: RenderFailure, messages: Sequence[Message], where: str) -> InputError:
    """Why a conversation could not be rendered, and which template to use instead."""
    roles = ", ".join(message["role"] for message in messages)
    roles = f"roles: {roles}" if len(messages) <= 20 else f"{len(messages)} turns"
    memory = f"more than {MAX_TEMPLATE_BYTES >> 20:,} MB of memory"
    problems = {
        "syntax": "the chat template is not valid Jinja",
        "memory": "the chat template needs too much memory",
        "time": "the chat template takes too long",
        "too-long": "the chat template, or the text that it writes, is too long",
        "died": "the chat template ended the process that renders it",
        "forbidden": "the chat template does what a template may not",
    }
    detail = memory if failure.kind == "memory" else failure.detail
    error_class = RenderLimitError if failure.kind in ("memory", "time", "died") else InputError
    return error_class(
        problems.get(failure.kind, "the chat template cannot write this conversation"),
        where=where,
        found=detail if failure.kind == "syntax" else f"{detail}; {roles}",
        expected="a template that writes `messages` (role and content) in milliseconds and a few megabytes",
        fix=other_templates(tokenizer, [messages]),
    )


def _plain_template(tokenizer: Any) -> str:
    """The bundled template without roles: the one with a bos token where the tokenizer puts one before a text."""
    return "plain" if start_token(tokenizer) is None else "plain-bos"
