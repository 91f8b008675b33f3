"""Conversations put into text by a model's chat template, in the child process that bounds its memory and time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tutelage.core.clock import Instant
from tutelage.core.limits import MAX_CHAT_TEMPLATE_CHARACTERS
from tutelage.templates import subprocess_renderer
from tutelage.templates.chat_environment import Written
from tutelage.templates.sandbox import Failure
from tutelage.templates.subprocess_renderer import Work

Talk = Sequence[Mapping[str, str]]
"""A conversation: role and content of each turn."""


def render(
    template: str, talks: Sequence[Talk], beside: Mapping[str, Any], instant: Instant
) -> list[Written | Failure]:
    """One outcome for each conversation, in order; after one that took too much, the rest is left out.

    Args:
        template: the chat template.
        talks: the conversations.
        beside: what the template is given with each: `add_generation_prompt`, and the tokenizer's special tokens.
        instant: what the template's clock shows.
    """
    if len(template) > MAX_CHAT_TEMPLATE_CHARACTERS:
        size = f"{len(template):,} characters of template, more than {MAX_CHAT_TEMPLATE_CHARACTERS:,}"
        return [Failure("too-long", size)]
    shared = {"chat": template, "beside": dict(beside), "instant": str(instant)}

    def written(batch: Sequence[Talk], singly: bool) -> bytes:  # noqa: FBT001  # as `Work` calls it
        line = {**shared, "talks": batch, "singly": singly}
        return json.dumps(line, allow_nan=False).encode("ascii") + b"\n"

    work: Work[Talk, Written] = Work(_characters, lambda _: 1, written, lambda told: Written(*told))
    return [outcome for (outcome,) in subprocess_renderer.render.work(talks, work)]


@lru_cache(maxsize=64)
def verbatim(template: str) -> bool:
    """Whether it is shown that the template writes every content as it stands, or not at all (`templates.verbatim`)."""
    if len(template) > MAX_CHAT_TEMPLATE_CHARACTERS:
        return False
    line = json.dumps({"verbatim": template, "singly": False}).encode("ascii") + b"\n"
    work: Work[str, bool] = Work(len, lambda _: 1, lambda _batch, _singly: line, bool)
    ((outcome,),) = subprocess_renderer.render.work([template], work)
    return outcome is True


def _characters(talk: Talk) -> int:
    return sum(len(turn["content"]) + 50 for turn in talk)
