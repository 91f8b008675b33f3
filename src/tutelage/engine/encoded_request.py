"""Requests as token ids: the prompt that the model reads, and the tokens of each choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.types import Request
from tutelage.engine.choice_contexts import split_by_choice
from tutelage.engine.prefix_tree import common_prefix_length
from tutelage.tokens import chat_encoding, rendering
from tutelage.tokens.encoder import Encoder
from tutelage.tokens.user_turn import UserTurn, user_turn
from tutelage.tokens.word_cache import WordCache

BATCH = 1000  # requests that are encoded at once


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A request as token ids.

    Attributes:
        request: the request.
        prompt: ids that the model reads before it answers; never empty.
        choices: for `choose`, the ids of each choice, none empty.
        opening: how many tokens a generated answer may have besides its own, for what the chat template writes before it.
    """

    request: Request
    prompt: list[int]
    choices: tuple[list[int], ...] = ()
    opening: int = 0

    @property
    def max_answer_tokens(self) -> int:
        """The length of the longest choice, or the limit on generated tokens."""
        return max(map(len, self.choices), default=self.request.max_new_tokens + self.opening)


class RequestEncoder:
    """Encodes requests with a tokenizer and the chat template that is set on it; no model is needed.

    Prompt and choices of a `chat` request are encoded separately, as in training, and what the template writes between prompt
    and answer stands before the choices. Prompt and choice of a `text` request are
    encoded as one text and then split where the prompt and all its continuations still agree. So a tokenizer may merge the
    prompt's last character with a choice's first one, and the space at a prompt's end goes to the choices. For an
    encoder-decoder model, both are encoded separately.

    Args:
        tokenizer: a fast transformers tokenizer.
        encoder_decoder: whether the prompt goes to an encoder of its own.

    Attributes:
        takes_chats: whether `chat` requests can be encoded; a decoder-only model without a chat template takes texts only.
    """

    def __init__(self, tokenizer: Any, *, encoder_decoder: bool) -> None:
        self.takes_chats = encoder_decoder or bool(tokenizer.chat_template)
        self.encoder = Encoder(tokenizer, encoder_decoder=encoder_decoder, conversations=False)
        self._word_cache = WordCache(tokenizer)

    @cached_property
    def user_turn(self) -> UserTurn:
        """How the chat template begins and ends a user's turn.

        Raises:
            InputError: it does not show it, or the model is an encoder-decoder, which writes answers only.
        """
        if self.encoder.encoder_decoder:
            raise InputError(
                "an encoder-decoder model writes no user's turn: its encoder reads one, its decoder answers",
                where="protect.self_replay.prompts",
                found="sampled",
                expected="bundled, or a file of prompts",
                fix="take bundled, or a decoder-only model",
            )
        return user_turn(self.encoder.tokenizer)

    def lengths(self, requests: Sequence[Request]) -> list[int]:
        """Tokens of each request: its prompt and its longest answer."""
        parts = [split_by_choice(request) for request in requests]
        encoded = self.encode([part for of_request in parts for part in of_request])
        lengths = (len(part.prompt) + part.max_answer_tokens for part in encoded)
        return [max(islice(lengths, len(of_request))) for of_request in parts]

    def encode(self, requests: Sequence[Request]) -> Iterator[EncodedRequest]:
        """The requests as ids, in their order."""
        for start in range(0, len(requests), BATCH):
            yield from self._encode_batch(requests[start : start + BATCH])

    def clock_reads(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """What the chat template has read from its clock, for these requests and before: texts by format."""
        tokenizer = self.encoder.tokenizer
        if self.encoder.encoder_decoder or not rendering.may_read_clock(tokenizer):
            return {}
        # A user's turn reads what the template writes around any content.
        chats = [
            chat_encoding.messages("a" if r.form == "user" else r.prompt, r.history)
            for r in requests
            if r.form != "text"
        ]
        for start in range(0, len(chats), BATCH):
            rendering.render_all(tokenizer, chats[start : start + BATCH], generate=True)
        return rendering.clock_of(tokenizer).reads

    def _encode_batch(self, requests: Sequence[Request]) -> Iterator[EncodedRequest]:
        encoder = self.encoder
        texts = []
        for request in requests:
            if request.form == "text":
                context = "" if encoder.encoder_decoder else request.prompt
                texts += [request.prompt, *(context + choice for choice in request.choices)]
        text_ids = self._ids_of_texts(texts)
        chats = [(r.prompt, r.history) for r in requests if r.form == "chat"]
        chat_prompts = iter(encoder.prompts_ids(chats) if chats else [])
        for request in requests:
            if request.form == "chat":
                yield self._with_opening(request, next(chat_prompts))
            elif request.form == "user":
                opening = list(self.user_turn.opening)
                yield EncodedRequest(request, opening or encoder.with_added_tokens([]))
            elif encoder.encoder_decoder:
                prompt = encoder.with_added_tokens(text_ids[request.prompt])
                yield EncodedRequest(request, prompt, tuple(text_ids[choice] for choice in request.choices))
            else:
                yield self._split_text(request, text_ids)

    def _with_opening(self, request: Request, prompt: list[int]) -> EncodedRequest:
        """A chat request: choices stand behind what the template writes before an answer; a generated answer says it itself."""
        if request.kind == "generate":
            return EncodedRequest(request, prompt, opening=self.encoder.opening_length)
        choices = tuple(self.encoder.spoken_ids(choice) for choice in request.choices)
        return EncodedRequest(request, [*prompt, *self.encoder.opening_ids], choices)

    def _split_text(self, request: Request, text_ids: dict[str, list[int]]) -> EncodedRequest:
        """A text request of a decoder-only model: its prompt ends where the first of its continuations departs from it."""
        prompt = self.encoder.with_added_tokens(text_ids[request.prompt])
        continued = [
            self.encoder.with_added_tokens(text_ids[request.prompt + choice]) for choice in request.choices
        ]
        # Less its last token, so that no choice is left empty.
        common = min((common_prefix_length(prompt, ids[:-1]) for ids in continued), default=len(prompt))
        choices = tuple(ids[common:] for ids in continued)
        return EncodedRequest(request, prompt[:common] or self.encoder.with_added_tokens([]), choices)

    def _ids_of_texts(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """The ids of bare texts; what spells a control token is encoded as plain text."""
        ids_by_text = self._word_cache.encode(texts)
        control = chat_encoding.control_ids(self.encoder.tokenizer)
        for text, ids in ids_by_text.items():
            if not control.isdisjoint(ids):
                ids_by_text[text] = chat_encoding.encode_text(self.encoder.tokenizer, text, control=False)
        return ids_by_text
