"""How much of many requests is in the model at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much goes through the model at once. It changes memory and speed, not answers.

    A single request may need more than these; it is then asked alone.

    Attributes:
        tokens: prompt tokens of a batch, counted for every choice.
        rows: requests of a batch.
        held: bytes of keys and values. Where rows generate behind beginnings that are held once: of all beginnings and of all rows
            to their answers' ends; what one pass works with and the one beginning that comes next are on top. Else: of a batch
            to its answers' ends, every choice counted, and of one that others join.
    """

    tokens: int = 4096
    rows: int = 64
    held: int = 1 << 30
