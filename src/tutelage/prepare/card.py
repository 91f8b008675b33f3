"""What the card says of rows in tokens: how many, how long, how many of them are learned; and rows to look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tutelage.core.types import Encoded, Prompted
from tutelage.tokens.encoder import conversation_text

BARS = 24  # of a histogram, at most
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_LONE = re.compile(
    "[\udc80-\udcff]"
)  # a byte that is no whole character, as Python's surrogateescape writes it


def length_statistics(rows: Sequence[Encoded]) -> dict[str, Any]:
    """Counts, quantiles and histograms of some rows' lengths in tokens."""
    prompts = [prompt_length(row) for row in rows]
    completions = [row.n_loss for row in rows]
    return {
        "rows": len(rows),
        "tokens": sum(len(r.ids) + len(r.source or ()) for r in rows),
        "loss_tokens": sum(completions),
        "truncated": sum(r.dropped > 0 for r in rows),
        "dropped_tokens": sum(r.dropped for r in rows),
        "prompt": quantiles(prompts),
        "completion": quantiles(completions),
        "histograms": {"prompt": histogram(prompts), "completion": histogram(completions)},
    }


def prompt_length(row: Encoded) -> int:
    """Tokens that the model reads before it answers."""
    return len(row.source) if row.source is not None else len(row.ids) - row.n_loss


def quantiles(counts: Sequence[int]) -> dict[str, int]:
    """The least, the median, the 95th percentile and the most; each is a length that occurs."""
    if not counts:
        return {}
    low, median, high, most = np.quantile(counts, [0, 0.5, 0.95, 1], method="higher")
    return {"min": int(low), "median": int(median), "p95": int(high), "max": int(most)}


def histogram(counts: Sequence[int]) -> dict[str, Any]:
    """How many rows have a length of `start + i * width` and up to the next: at most 24 bars of a round width."""
    if not counts:
        return {}
    span = max(counts) - min(counts) + 1
    scales = (step * 10**power for power in range(12) for step in (1, 2, 5))
    width = next(step for step in scales if span / step <= BARS - 1)
    start = min(counts) // width * width
    bars = np.bincount((np.asarray(counts) - start) // width)
    return {"start": start, "width": width, "bars": bars.tolist()}


def example(tokenizer: Any, row: Prompted, encoded: Encoded) -> dict[str, Any]:
    """A row as the model meets it: its text, each token, and whether the token is learned."""
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
    """Each token's own text, with the spaces that it holds; bytes that are no whole character as <0xF0>."""
    added = tokenizer.added_tokens_decoder
    decoder = tokenizer.backend_tokenizer.decoder
    by_bytes = decoder is not None and b'"ByteLevel"' in decoder.__getstate__()
    own = _of_bytes if by_bytes else _of_words
    names = tokenizer.convert_ids_to_tokens(list(ids))
    return [str(added[i]) if i in added else own(name) for i, name in zip(ids, names, strict=True)]


def _of_bytes(name: str) -> str:
    """A byte-level token: its name has one printable character for each byte."""
    if not _BYTES.keys() >= set(name):
        return name
    raw = bytes(_BYTES[char] for char in name)
    return _LONE.sub(lambda lone: f"<0x{ord(lone[0]) - 0xDC00:02X}>", raw.decode("utf-8", "surrogateescape"))


def _of_words(name: str) -> str:
    """A token of words or their parts, where a low line stands for a space and rare characters come as bytes."""
    byte = _BYTE.fullmatch(name)
    if byte and int(byte[1], 16) < 0x80:
        return chr(int(byte[1], 16))
    return name.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")


def _names_of_bytes() -> dict[str, int]:
    """GPT-2's table: printable Latin-1 stands for itself, the other bytes follow from U+0100 on."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(0x100 + n): byte for n, byte in enumerate(rest)}


_BYTES = _names_of_bytes()
