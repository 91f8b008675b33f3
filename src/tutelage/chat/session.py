"""A conversation: what was said, and how much of it still fits into the model's context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError

Message = dict[str, str]
Count = Callable[[Sequence[Message]], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """What goes to the model for one question, and how many older exchanges no longer fit."""

    messages: tuple[Message, ...]
    dropped: int


class Conversation:
    """The history of one model's answers.

    Args:
        count: how many tokens the model reads for some messages.
        context: how many tokens fit in all; None is no limit.
        room: tokens that are kept free for the answer.
        system: what stands before everything, if anything.
        remembers: whether the model reads earlier exchanges at all (an encoder-decoder model here does not).
    """

    def __init__(
        self,
        *,
        count: Count,
        context: int | None,
        room: int,
        system: str | None = None,
        remembers: bool = True,
    ) -> None:
        self._count = count
        self._budget = None if context is None else context - room
        self._remembers = remembers
        self._exchanges: list[tuple[Message, Message]] = []
        self.system = system

    def ask(self, question: str) -> Asked:
        """What the model reads for a question: system prompt, earlier exchanges as far as they fit, question.

        Exchanges that do not fit are left out, the oldest first and always question and answer together.

        Raises:
            InputError: the question alone does not fit.
        """
        kept = list(self._exchanges)
        while self._too_long(kept, question) and kept:
            kept.pop(0)
        messages = self._messages(kept, question)
        if self._too_long(kept, question):
            raise InputError(
                "the question is too long for the model",
                where="chat",
                found=f"{self._count(messages):,} tokens",
                expected=f"at most {max(self._budget or 0, 0):,} tokens, beside the room for the answer",
                fix="shorten the question or the system prompt, or lower --max-new-tokens",
            )
        return Asked(tuple(messages), len(self._exchanges) - len(kept))

    def forget_oldest(self, count: int) -> None:
        """Forget so many exchanges for good."""
        del self._exchanges[:count]

    def forget_last(self) -> None:
        """Forget the newest exchange, if there is one."""
        del self._exchanges[-1:]

    def hear(self, question: str, answer: str) -> None:
        """Keep an exchange."""
        if self._remembers:
            self._exchanges.append(
                ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
            )

    def reset(self) -> None:
        """Forget every exchange; the system prompt stays."""
        self._exchanges.clear()

    def _messages(self, exchanges: Sequence[tuple[Message, Message]], question: str) -> list[Message]:
        head = [{"role": "system", "content": self.system}] if self.system else []
        past = [message for exchange in exchanges for message in exchange]
        return [*head, *past, {"role": "user", "content": question}]

    def _too_long(self, exchanges: Sequence[tuple[Message, Message]], question: str) -> bool:
        return self._budget is not None and self._count(self._messages(exchanges, question)) > self._budget
