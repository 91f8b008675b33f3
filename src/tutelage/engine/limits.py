"""How many requests are in the model at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of a batch. They change memory and speed, not answers.

    A request that needs more on its own is answered alone.

    Attributes:
        prompt_tokens: prompt tokens of a batch, counted once for each choice.
        rows: requests of a batch.
        cache_bytes: bytes of the KV cache. Of a decode batch: all shared prefixes and all rows up to the ends of their answers;
            what one pass works with and the prefix that is read next come on top. Of a padded batch: its rows up to the ends of
            their answers, every choice counted.
    """

    prompt_tokens: int = 4096
    rows: int = 64
    cache_bytes: int = 1 << 30
