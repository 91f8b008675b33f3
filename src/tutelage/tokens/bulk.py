"""Many rows to ids at once: the same ids as `Encoder.encode` gives row by row, from one call of the tokenizer a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tutelage.core.nouns import Encoded, Prompted
from tutelage.tokens import chat
from tutelage.tokens.encode import Encoder, plain

BATCH = 1000  # rows


def encode_all(encoder: Encoder, rows: Sequence[Prompted]) -> Iterator[Encoded]:
    """Encode rows in their order.

    Rows whose texts spell control tokens, or that do not fit, take the careful way of `Encoder.encode`.

    Raises:
        InputError: a row does not fit even when its prompt is shortened; names the row's file and line.
    """
    for start in range(0, len(rows), BATCH):
        yield from _batch(encoder, rows[start : start + BATCH])


def _batch(encoder: Encoder, rows: Sequence[Prompted]) -> Iterator[Encoded]:
    tokenizer = encoder.tokenizer
    control = chat.control_ids(tokenizer)
    frames = _Frames(encoder)
    prompts = _ids(tokenizer, [_text(encoder, row) for row in rows])
    completions = _ids(tokenizer, [row.completion for row in rows])
    for row, prompt, completion in zip(rows, prompts, completions, strict=True):
        # Control tokens that the template did not write were spelled by the row.
        fits = [i for i in prompt if i in control] == frames.of(row) and control.isdisjoint(completion)
        made = encoder.join(row, prompt, completion) if fits else None
        yield encoder.encode(row) if made is None else made


def _text(encoder: Encoder, row: Prompted) -> str:
    """What is tokenised of a row's prompt."""
    if encoder.encoder_decoder:
        return plain(row.prompt, row.history)
    return chat.render(encoder.tokenizer, chat.messages(row.prompt, row.history), generate=True)


class _Frames:
    """The control tokens that the template itself writes, by the roles of a conversation."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[tuple[str, ...], list[int]] = {}

    def of(self, row: Prompted) -> list[int]:
        if self._encoder.encoder_decoder:
            return []
        roles = tuple(role for role, _ in row.history)
        if roles not in self._known:
            tokenizer = self._encoder.tokenizer
            harmless = chat.messages("a", tuple((role, "a") for role in roles))
            ids = chat.encode_messages(tokenizer, harmless, generate=True)
            control = chat.control_ids(tokenizer)
            self._known[roles] = [i for i in ids if i in control]
        return self._known[roles]


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The ids of many texts, nothing added, without the offsets and masks that nobody reads here."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = False
    return [encoded.ids for encoded in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
