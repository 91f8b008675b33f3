"""The token statistics of the data card, and its example rows with their tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tutelage.core.types import Encoded, Prompted
from tutelage.tokens.encoder import conversation_text

MAX_BARS = 24  # of a histogram
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
"""A byte that is no whole character, as Python's surrogateescape writes it."""


def length_statistics(rows: Sequence[Encoded]) -> dict[str, Any]:
    """Counts, quantiles and histograms of rows' lengths in tokens."""
    prompts = [len(row.ids) - row.n_loss if row.source is None else len(row.source) for row in rows]
    completions = [row.n_loss for row in rows]
    return {
        "rows": len(rows),
        "tokens": sum(len(row.ids) + len(row.source or ()) for row in rows),
        "loss_tokens": sum(completions),
        "truncated": sum(row.dropped > 0 for row in rows),
        "dropped_tokens": sum(row.dropped for row in rows),
        "prompt": quantiles(prompts),
        "completion": quantiles(completions),
        "histograms": {"prompt": histogram(prompts), "completion": histogram(completions)},
    }


def quantiles(counts: Sequence[int]) -> dict[str, int]:
    """Minimum, median, 95th percentile and maximum; each is a length that occurs."""
    if not counts:
        return {}
    minimum, median, p95, maximum = np.quantile(counts, [0, 0.5, 0.95, 1], method="higher")
    return {"min": int(minimum), "median": int(median), "p95": int(p95), "max": int(maximum)}


def histogram(counts: Sequence[int]) -> dict[str, Any]:
    """A histogram of at most 24 bars of a round width: `bars[i]` counts lengths from `start + i * width` up to the next bar."""
    if not counts:
        return {}
    span = max(counts) - min(counts) + 1
    scales = (step * 10**power for power in range(12) for step in (1, 2, 5))
    width = next(step for step in scales if span / step <= MAX_BARS - 1)
    start = min(counts) // width * width
    bars = np.bincount((np.asarray(counts) - start) // width)
    return {"start": start, "width": width, "bars": bars.tolist()}


def example(tokenizer: Any, row: Prompted, encoded: Encoded) -> dict[str, Any]:
    """A row as the model reads it: its text, each token, and whether the token bears loss."""
    ids = [*(encoded.source or ()), *encoded.ids]
    mask = [False] * len(encoded.source or ()) + list(encoded.loss_mask)
    return {
        "id": row.id,
        "origin": str(row.origin),
        "prompt": conversation_text(row.prompt, row.history),
        "completion": row.completion,
        "text": tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
        "tokens": token_texts(tokenizer, ids),
        "mask": mask,
    }


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text of each token with its spaces; bytes that are no whole character as <0xF0>."""
    added = tokenizer.added_tokens_decoder
    decoder = tokenizer.backend_tokenizer.decoder
    by_bytes = decoder is not None and b'"ByteLevel"' in decoder.__getstate__()
    text_of = _byte_level_text if by_bytes else _sentencepiece_text
    names = tokenizer.convert_ids_to_tokens(list(ids))
    return [str(added[i]) if i in added else text_of(name) for i, name in zip(ids, names, strict=True)]


def _byte_level_text(name: str) -> str:
    """The text of a byte-level token, whose name has one printable character for each byte."""
    if not _BYTE_OF.keys() >= set(name):
        return name
    raw = bytes(_BYTE_OF[char] for char in name)
    text = raw.decode("utf-8", "surrogateescape")
    return _ESCAPED_BYTE.sub(lambda match: f"<0x{ord(match[0]) - 0xDC00:02X}>", text)


def _sentencepiece_text(name: str) -> str:
    """The text of a SentencePiece token: a low line stands for a space, rare characters are bytes."""
    byte = _BYTE.fullmatch(name)
    if byte and int(byte[1], 16) < 0x80:
        return chr(int(byte[1], 16))
    return name.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")


_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_UNPRINTABLE = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTE_OF = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(0x100 + n): byte for n, byte in enumerate(_UNPRINTABLE)
}
"""GPT-2's table from characters to bytes: printable Latin-1 stands for itself, the other bytes from U+0100 on."""
