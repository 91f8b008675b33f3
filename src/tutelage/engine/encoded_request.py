"""Requests as token ids: what the model reads, and the ids of each choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from tutelage.core.types import Request
from tutelage.tokens import chat_encoding, rendering
from tutelage.tokens.encoder import Encoder
from tutelage.tokens.word_cache import Vocabulary

BATCH = 1000  # requests whose texts are encoded at once


@dataclass(frozen=True, slots=True)
class Read:
    """A request in ids.

    Attributes:
        request: what was asked.
        prompt: what the model reads before it answers; never empty.
        choices: for `choose`, the ids of each choice, none empty.
    """

    request: Request
    prompt: list[int]
    choices: tuple[list[int], ...] = ()

    @property
    def answer(self) -> int:
        """The most tokens of an answer."""
        return max(map(len, self.choices), default=self.request.max_new_tokens)


class Reader:
    """Puts requests into ids for one encoder.

    Of a `chat` request prompt and choices are encoded apart, as they are in training. Of a `text` request they are encoded as
    one text, as it stands in a book: the choices' ids are what comes behind the ids that all of them and the prompt alone begin
    with. So a tokenizer that joins the prompt's last character to a choice's first one is no trouble, and prompts that end with
    a space give it to the choices. Sides of an encoder-decoder model are encoded apart.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vocabulary = Vocabulary(encoder.tokenizer)

    @classmethod
    def of(cls, tokenizer: Any, *, encoder_decoder: bool) -> Reader:
        """A reader for a tokenizer, with the chat template that is set on it; no model is needed."""
        talks = encoder_decoder or bool(tokenizer.chat_template)
        return cls(Encoder(tokenizer, encoder_decoder=encoder_decoder, conversations=talks))

    def lengths(self, requests: Sequence[Request]) -> list[int]:
        """How many tokens each request takes, prompt and longest answer together."""
        return [len(read.prompt) + read.answer for read in self.read(requests)]

    def read(self, requests: Sequence[Request]) -> Iterator[Read]:
        """The requests in their order."""
        for start in range(0, len(requests), BATCH):
            yield from self._some(requests[start : start + BATCH])

    def clock_reads(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """What the chat template reads of its clock for these requests, and has read before: texts by format."""
        tokenizer = self._encoder.tokenizer
        if self._encoder.encoder_decoder or not rendering.may_read_clock(tokenizer):
            return {}
        talks = [chat_encoding.messages(r.prompt, r.history) for r in requests if r.form == "chat"]
        for start in range(0, len(talks), BATCH):
            chat_encoding.render_all(tokenizer, talks[start : start + BATCH], generate=True)
        return rendering.clock_of(tokenizer).reads

    def _some(self, requests: Sequence[Request]) -> Iterator[Read]:
        joined = not self._encoder.encoder_decoder
        texts = [
            text
            for r in requests
            if r.form == "text"
            for text in (r.prompt, *(r.prompt + c if joined else c for c in r.choices))
        ]
        ids = self._ids(texts)
        talks = [(r.prompt, r.history) for r in requests if r.form == "chat"]
        prompts = iter(self._encoder.prompts_ids(talks) if talks else [])
        for request in requests:
            if request.form == "chat":
                yield self._chat(request, next(prompts))
            elif joined:
                yield self._text(request, ids)
            else:
                prompt = self._encoder.text_ids(ids[request.prompt])
                yield Read(request, prompt, tuple(ids[choice] for choice in request.choices))

    def _chat(self, request: Request, prompt: list[int]) -> Read:
        tokenizer = self._encoder.tokenizer
        choices = (chat_encoding.encode_text(tokenizer, choice, control=False) for choice in request.choices)
        return Read(request, prompt, tuple(choices))

    def _text(self, request: Request, ids: dict[str, list[int]]) -> Read:
        prompt = self._encoder.text_ids(ids[request.prompt])
        whole = [self._encoder.text_ids(ids[request.prompt + choice]) for choice in request.choices]
        common = min((_alike(prompt, one) for one in whole), default=len(prompt))
        return Read(
            request, prompt[:common] or self._encoder.text_ids([]), tuple(one[common:] for one in whole)
        )

    def _ids(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """The ids of texts with nothing around them; what spells a control token is read as plain text."""
        found = self._vocabulary.of(texts)
        control = chat_encoding.control_ids(self._encoder.tokenizer)
        for text, ids in found.items():
            if not control.isdisjoint(ids):
                found[text] = chat_encoding.encode_text(self._encoder.tokenizer, text, control=False)
        return found


def _alike(prompt: Sequence[int], whole: Sequence[int]) -> int:
    """How many ids a prompt and the prompt with a choice begin with alike, less what would leave the choice empty."""
    pairs = zip(prompt, whole[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
