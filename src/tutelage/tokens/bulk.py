"""Many rows to ids at once: the same ids as `Encoder.encode` gives row by row, from one call of the tokenizer a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tutelage.core.nouns import Encoded, Prompted
from tutelage.tokens import chat
from tutelage.tokens.encode import Encoder

BATCH = 1000  # rows


def encode_all(encoder: Encoder, rows: Sequence[Prompted]) -> Iterator[Encoded]:
    """Encode rows in their order.

    Rows whose texts spell control tokens, that have a history, or that do not fit, take the careful way of `Encoder.encode`.

    Raises:
        InputError: a row does not fit even when its prompt is shortened; names the row's file and line.
    """
    for start in range(0, len(rows), BATCH):
        yield from _batch(encoder, rows[start : start + BATCH])


def _batch(encoder: Encoder, rows: Sequence[Prompted]) -> Iterator[Encoded]:
    tokenizer = encoder.tokenizer
    control = chat.control_ids(tokenizer)
    texts, frame = _prompts(encoder, rows)
    for row, prompt, completion in zip(
        rows, _ids(tokenizer, texts), _ids(tokenizer, [row.completion for row in rows]), strict=True
    ):
        # Control tokens that the template did not write were spelled by the row.
        fits = (
            not row.history
            and [i for i in prompt if i in control] == frame
            and control.isdisjoint(completion)
        )
        made = encoder.join(row, prompt, completion) if fits else None
        yield encoder.encode(row) if made is None else made


def _prompts(encoder: Encoder, rows: Sequence[Prompted]) -> tuple[list[str], list[int]]:
    """What is tokenised of each row's prompt, and the control tokens that a harmless prompt has."""
    if encoder.encoder_decoder:
        return [row.prompt for row in rows], []
    tokenizer = encoder.tokenizer
    texts = [chat.render(tokenizer, chat.messages(row.prompt), generate=True) for row in rows]
    harmless = chat.encode_messages(tokenizer, chat.messages("a"), generate=True)
    control = chat.control_ids(tokenizer)
    return texts, [i for i in harmless if i in control]


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The ids of many texts, nothing added, without the offsets and masks that nobody reads here."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = False
    return [encoded.ids for encoded in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
