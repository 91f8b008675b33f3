"""Renders conversations with a model's chat template, in a child process with bounded memory and time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tutelage.core.clock import Instant
from tutelage.core.limits import MAX_CHAT_TEMPLATE_CHARACTERS
from tutelage.templates import subprocess_renderer
from tutelage.templates.chat_environment import RenderedChat
from tutelage.templates.sandbox import RenderFailure
from tutelage.templates.subprocess_renderer import PipeFormat

Conversation = Sequence[Mapping[str, str]]
"""A conversation: role and content of each turn."""


def render(
    template: str, conversations: Sequence[Conversation], variables: Mapping[str, Any], instant: Instant
) -> list[RenderedChat | RenderFailure]:
    """Render conversations in order; after one that exceeds the limits, the rest is left out.

    Args:
        template: the chat template.
        conversations: the conversations.
        variables: what the template is given with each: `add_generation_prompt`, and the tokenizer's special tokens.
        instant: what the template's clock shows.
    """
    if len(template) > MAX_CHAT_TEMPLATE_CHARACTERS:
        size_message = f"{len(template):,} characters of template, more than {MAX_CHAT_TEMPLATE_CHARACTERS:,}"
        return [RenderFailure("too-long", size_message)]
    shared = {"chat": template, "beside": dict(variables), "instant": str(instant)}

    def write_batch(batch: Sequence[Conversation], singly: bool) -> bytes:  # noqa: FBT001  # as `PipeFormat` calls it
        line = {**shared, "talks": batch, "singly": singly}
        return json.dumps(line, allow_nan=False).encode("ascii") + b"\n"

    pipe_format: PipeFormat[Conversation, RenderedChat] = PipeFormat(
        _conversation_size, lambda _: 1, write_batch, lambda fields: RenderedChat(*fields)
    )
    return [outcome for (outcome,) in subprocess_renderer.shared_renderer.render(conversations, pipe_format)]


@lru_cache(maxsize=64)
def writes_contents_verbatim(template: str) -> bool:
    """Whether the template is proven to write every message content verbatim or not at all (see `verbatim_proof`)."""
    if len(template) > MAX_CHAT_TEMPLATE_CHARACTERS:
        return False
    line = json.dumps({"verbatim": template, "singly": False}).encode("ascii") + b"\n"
    pipe_format: PipeFormat[str, bool] = PipeFormat(len, lambda _: 1, lambda _batch, _singly: line, bool)
    ((outcome,),) = subprocess_renderer.shared_renderer.render([template], pipe_format)
    return outcome is True


def _conversation_size(conversation: Conversation) -> int:
    return sum(len(turn["content"]) + 50 for turn in conversation)
