"""Finds messages of a conversation that its chat template leaves out, cuts or trims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.tokens import rendering
from tutelage.tokens.rendering import MARK, Message, RenderLimitError


class MessageChecks:
    """Holds what a chat template writes against the messages that it was given.

    Args:
        tokenizer: with the chat template in use.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._left_out: dict[tuple[str, ...], frozenset[int]] = {}

    def of(self, messages: Sequence[Message], text: str) -> Iterator[tuple[str, str]]:
        """Findings on one conversation: the kind of each, and what was found.

        Args:
            messages: up to the question.
            text: what the template wrote of them.
        """
        left_out = self._unwritten(tuple(message["role"] for message in messages))
        for index, message in enumerate(messages):
            content = message["content"]
            turn = f"the {message['role']}'s turn {shorten(content, 60)}"
            if index in left_out:
                yield "message-left-out", turn
            elif content not in text:
                trimmed = content.strip() in text
                yield ("message-trimmed", turn) if trimmed else ("message-cut", turn)

    def _unwritten(self, roles: tuple[str, ...]) -> frozenset[int]:
        """The places of the turns that the template writes nothing of, in conversations with these roles."""
        if roles not in self._left_out:
            marks = [MARK.format(index) for index in range(len(roles))]
            marked = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
            try:
                text = rendering.render(self._tokenizer, marked, generate=True)
            except RenderLimitError:
                raise
            except InputError:  # it takes some texts only: then each row's own text shows what is missing
                text = "".join(marks)
            self._left_out[roles] = frozenset(i for i, mark in enumerate(marks) if mark not in text)
        return self._left_out[roles]
