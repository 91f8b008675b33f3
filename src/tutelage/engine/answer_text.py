"""The text of a generated answer, without what the chat template has the model say around it (`tokens.answer_turn`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tutelage.core.types import Request
from tutelage.tokens.encoder import Encoder


class AnswerText:
    """Takes the opening and the end of the assistant's turn off answers to chat requests; other answers stay as they are.

    Args:
        text_of: gives tokens as text, without special ones.
        encoder: its encoder.
        takes_chats: whether there is a chat template at all.
    """

    def __init__(
        self, text_of: Callable[[Sequence[int]], str], encoder: Encoder, *, takes_chats: bool
    ) -> None:
        self._text_of = text_of
        self._head: list[int] = []
        self._spaces: list[int] = []
        self._spaces_text = self._closing = ""
        if takes_chats and not encoder.encoder_decoder:
            turn = encoder.answer_turn
            self._head, self._spaces_text = encoder.opening_ids, turn.spaces
            self._spaces = encoder.spoken_ids("") if turn.spaces else []
            self._closing = encoder.text_before_stop

    def text(self, request: Request, ids: Sequence[int], *, ended: bool = False) -> str:
        """An answer's tokens as text; empty while the model is still saying the opening.

        Args:
            request: what is answered.
            ids: the tokens so far, without the one that ends the turn.
            ended: whether such a token came: what the template writes before it is then taken off.
        """
        if request.form != "chat":
            return self._text_of(ids)
        if len(ids) < len(self._head) and self._begins_as_head(ids):
            return ""
        said = len(self._head) if self._begins_as_head(ids) else 0
        text = self._text_of(ids[said:]).removeprefix(self._spaces_text)
        return text.removesuffix(self._closing) if ended else text

    def limit(self, request: Request, ids: Sequence[int]) -> int:
        """The most tokens of an answer that begins with these: those of the opening, while the model says it, are not counted."""
        if request.form != "chat" or not self._begins_as_head(ids):
            return request.max_new_tokens
        start = len(self._head)
        spaces = len(self._spaces) if list(ids[start : start + len(self._spaces)]) == self._spaces else 0
        return request.max_new_tokens + start + spaces

    def _begins_as_head(self, ids: Sequence[int]) -> bool:
        """Whether an answer begins with the opening, as far as it goes."""
        return list(ids[: len(self._head)]) == self._head[: len(ids)]
