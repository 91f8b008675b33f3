"""Conversations to text by the chat template that is set on a tokenizer, and the clock that the template reads.

The template runs in a child process (`templates.chats`). Where it is shown to write contents as they stand (`verbatim`), it
runs once for all conversations with the same roles, and the contents are put between the pieces of its text here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_TEMPLATE_BYTES
from tutelage.templates import chat_renderer
from tutelage.templates.chat_environment import RenderedChat
from tutelage.templates.sandbox import RenderFailure

Message = Mapping[str, str]
MARK = "\ue0f1{}\ue0f2"
CLOCK_NAME = "strftime_now"
"""The only name by which a chat template can reach its clock."""
MOST_SHAPES = 1000
"""Sequences of roles whose pieces are kept for a tokenizer."""
_FIELD = "chat_template"


class TooMuchError(InputError):
    """The chat template took more memory or time than a text may take; another try takes as much again."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a template writes around the contents of all conversations with the same roles.

    `texts` is None where it changes, moves or leaves out one of them; `reads` is what it read of the clock.
    """

    texts: tuple[str, ...] | None
    reads: Mapping[str, str]


@dataclass(slots=True)
class _Use:
    """How one tokenizer's template is used: its clock, where its text comes from, and what it wrote by roles."""

    clock: Clock = field(default_factory=Clock)
    where: str = _FIELD
    pieces: dict[tuple[Any, ...], Pieces] = field(default_factory=dict)


_USES: WeakKeyDictionary[Any, _Use] = WeakKeyDictionary()


def use(tokenizer: Any, template: str | None, *, clock: Clock | None = None, where: str = _FIELD) -> None:
    """Set a tokenizer's chat template.

    Args:
        tokenizer: a fast transformers tokenizer.
        template: the Jinja text; None for none.
        clock: what the template reads when it asks for the time; one that shows this moment by default.
        where: the file or field that the template comes from, for errors.
    """
    tokenizer.chat_template = template
    _USES[tokenizer] = _Use(clock or Clock(), where)


def clock_of(tokenizer: Any) -> Clock:
    """The clock that a tokenizer's chat template reads."""
    return _use_of(tokenizer).clock


def may_read_clock(tokenizer: Any) -> bool:
    """Whether the template has the name of the clock in it; without the name it cannot read it, with the name it may not."""
    return CLOCK_NAME in (tokenizer.chat_template or "")


def render(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> str:
    """The conversation as text, with the assistant's turn opened when `generate`.

    Raises:
        InputError: the tokenizer has no chat template, or the template refuses these messages or takes too much.
    """
    return render_all(tokenizer, [messages], generate=generate)[0]


def render_all(tokenizer: Any, talks: Sequence[Sequence[Message]], *, generate: bool) -> list[str]:
    """Several conversations as texts. Raises as `render`, for the first one that fails and without saying which."""
    template = _template(tokenizer)
    use = _use_of(tokenizer)
    state = (template, tuple(tokenizer.special_tokens_map.items()), generate)
    if not chat_renderer.verbatim(template):
        return _rendered(tokenizer, talks, use, generate=generate)
    texts: list[str] = []
    for talk in talks:
        roles = tuple(message["role"] for message in talk)
        frame = use.pieces.get((*state, roles))
        if frame is None:
            if len(use.pieces) >= MOST_SHAPES:
                use.pieces.clear()
            frame = use.pieces[(*state, roles)] = _pieces(tokenizer, roles, use, generate=generate)
        if frame.texts is None or any(len(message) != 2 for message in talk):
            texts += _rendered(tokenizer, [talk], use, generate=generate)
        else:
            use.clock.note(frame.reads)
            texts.append(woven(frame.texts, [message["content"] for message in talk]))
    return texts


def pieces(tokenizer: Any, roles: Sequence[str]) -> tuple[str, ...] | None:
    """The texts around the contents of conversations with these roles whose answer is to come: one more than there are roles.

    None when the template changes, moves or leaves out a content. Raises InputError as `render`.
    """
    return _pieces(tokenizer, roles, _use_of(tokenizer), generate=True).texts


def woven(pieces: Sequence[str], contents: Sequence[str]) -> str:
    """The pieces with the contents between them."""
    text = [part for pair in zip(pieces, contents, strict=False) for part in pair]
    return "".join([*text, pieces[-1]])


def _pieces(tokenizer: Any, roles: Sequence[str], use: _Use, *, generate: bool) -> Pieces:
    marks = [MARK.format(place) for place in range(len(roles))]
    talk = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
    outcome = _outcomes(tokenizer, [talk], use, generate=generate)[0]
    if isinstance(outcome, RenderFailure):
        raise _error(tokenizer, outcome, talk, use.where)
    use.clock.note(outcome.reads)
    parts, rest = [], outcome.text
    for mark in marks:
        head, there, rest = rest.partition(mark)
        if not there:
            return Pieces(None, outcome.reads)
        parts.append(head)
    parts.append(rest)
    changed = any("\ue0f1" in part or "\ue0f2" in part for part in parts)
    return Pieces(None if changed else tuple(parts), outcome.reads)


def _rendered(tokenizer: Any, talks: Sequence[Sequence[Message]], use: _Use, *, generate: bool) -> list[str]:
    outcomes = _outcomes(tokenizer, talks, use, generate=generate)
    texts = []
    for talk, outcome in zip(talks, outcomes, strict=False):
        if isinstance(outcome, RenderFailure):
            raise _error(tokenizer, outcome, talk, use.where)
        if outcome.reads:
            use.clock.note(outcome.reads)
        texts.append(outcome.text)
    return texts


def _outcomes(
    tokenizer: Any, talks: Sequence[Sequence[Message]], use: _Use, *, generate: bool
) -> list[RenderedChat | RenderFailure]:
    beside = {"add_generation_prompt": generate, **tokenizer.special_tokens_map}
    return chat_renderer.render(tokenizer.chat_template, talks, beside, use.clock.instant)


def _use_of(tokenizer: Any) -> _Use:
    found = _USES.get(tokenizer)
    if found is None:
        found = _USES[tokenizer] = _Use()
    return found


def _template(tokenizer: Any) -> str:
    from tutelage.tokens.chat_encoding import names

    if tokenizer.chat_template:
        return str(tokenizer.chat_template)
    raise InputError(
        "this model has no chat template",
        where=_FIELD,
        found="a tokenizer without one, as base models have it",
        expected=f"a bundled template ({', '.join(names())}) or the path of a Jinja file",
        fix=f"write `chat_template: {_plain(tokenizer)}` into the recipe: the prompt, a line break, then the answer",
    )


def _error(tokenizer: Any, failure: RenderFailure, talk: Sequence[Message], where: str) -> InputError:
    """Why a conversation could not be rendered, and what to use instead."""
    roles = ", ".join(message["role"] for message in talk)
    roles = f"roles: {roles}" if len(talk) <= 20 else f"{len(talk)} turns"
    memory = f"more than {MAX_TEMPLATE_BYTES >> 20:,} MB of memory"
    problems = {
        "syntax": "the chat template is not valid Jinja",
        "memory": "the chat template needs too much memory",
        "time": "the chat template takes too long",
        "too-long": "the chat template, or the text that it writes, is too long",
        "died": "the chat template ended the process that renders it",
        "forbidden": "the chat template does what a template may not",
    }
    detail = memory if failure.why == "memory" else failure.found
    kind = TooMuchError if failure.why in ("memory", "time", "died") else InputError
    return kind(
        problems.get(failure.why, "the chat template cannot write this conversation"),
        where=where,
        found=detail if failure.why == "syntax" else f"{detail}; {roles}",
        expected="a template that writes `messages` (role and content) in milliseconds and a few megabytes",
        fix=f"name another template, such as `chat_template: {_fitting(tokenizer)}`, or another model",
    )


def _fitting(tokenizer: Any) -> str:
    """The bundled template that works with this tokenizer."""
    vocabulary = tokenizer.get_added_vocab()
    has_chatml = "<|im_start|>" in vocabulary and "<|im_end|>" in vocabulary
    return "chatml-plain" if has_chatml else _plain(tokenizer)


def _plain(tokenizer: Any) -> str:
    """The bundled template without roles: the one with a bos token where the tokenizer puts one before a text."""
    ids = tokenizer("a")["input_ids"]
    begins = tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
    return "plain-bos" if begins else "plain"
