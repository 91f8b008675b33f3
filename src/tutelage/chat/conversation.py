"""The history of one model's answers, cut to what fits into its context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError

Message = dict[str, str]
CountTokens = Callable[[Sequence[Message]], int]


@dataclass(frozen=True, slots=True)
class ConversationPrompt:
    """What a model reads for one question, and how many of the oldest exchanges no longer fit."""

    messages: tuple[Message, ...]
    dropped: int


class Conversation:
    """The exchanges with one model.

    Args:
        count: how many tokens the model reads for a list of messages.
        context: how many tokens fit in all; None is no limit.
        max_new_tokens: tokens that are left free for the answer.
        system: the system prompt, if any.
        remembers: whether the model reads earlier exchanges at all (an encoder-decoder model here does not).
    """

    def __init__(
        self,
        *,
        count: CountTokens,
        context: int | None,
        max_new_tokens: int,
        system: str | None = None,
        remembers: bool = True,
    ) -> None:
        self._count = count
        self._budget = None if context is None else max(context - max_new_tokens, 0)
        self._remembers = remembers
        self._exchanges: list[tuple[Message, Message]] = []
        self._system = [{"role": "system", "content": system}] if system else []

    def prompt(self, question: str) -> ConversationPrompt:
        """The system prompt, the earlier exchanges as far as they fit, and the question.

        The oldest exchanges are left out first, question and answer together.

        Raises:
            InputError: the question alone does not fit.
        """
        for dropped in range(len(self._exchanges) + 1):
            past = [message for exchange in self._exchanges[dropped:] for message in exchange]
            messages = (*self._system, *past, {"role": "user", "content": question})
            if self._budget is None or (tokens := self._count(messages)) <= self._budget:
                return ConversationPrompt(messages, dropped)
        raise InputError(
            "the question is too long for the model",
            where="chat",
            found=f"{tokens:,} tokens",
            expected=f"at most {self._budget:,} tokens, beside the room for the answer",
            fix="shorten the question or the system prompt, or lower --max-new-tokens",
        )

    def append(self, question: str, answer: str) -> None:
        """Remember an exchange."""
        if self._remembers:
            self._exchanges.append(
                ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
            )

    def forget_oldest(self, count: int) -> None:
        """Forget the oldest exchanges for good."""
        del self._exchanges[:count]

    def forget_last(self) -> None:
        """Forget the newest exchange, if there is one."""
        del self._exchanges[-1:]
