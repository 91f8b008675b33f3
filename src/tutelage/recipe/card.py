"""What the card says of rows in tokens: how many, how long, how many of them are learned; and rows to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tutelage.core.nouns import Encoded, Prompted

BARS = 24  # of a histogram, at most


def lengths(rows: Sequence[Encoded]) -> dict[str, Any]:
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


def shown(tokenizer: Any, row: Prompted, encoded: Encoded) -> dict[str, Any]:
    """A row as the model meets it: its text, each token, and whether the token is learned."""
    ids = [*(encoded.source or ()), *encoded.ids]
    mask = [False] * len(encoded.source or ()) + list(encoded.loss_mask)
    return {
        "id": row.id,
        "origin": str(row.origin),
        "prompt": row.prompt,
        "completion": row.completion,
        "text": tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
        "tokens": [tokenizer.decode([i], clean_up_tokenization_spaces=False) for i in ids],
        "mask": mask,
    }
