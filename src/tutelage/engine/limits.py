"""How much of many requests is in the model at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.engine.encoded_request import Read
from tutelage.engine.prefixes import Branch


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


def batches(branch: Branch, held: int, reads: Sequence[Read], limits: Limits) -> Iterator[list[int]]:
    """Batches of a branch's rows, longest first, so that rows of like length meet.

    Args:
        branch: whose rows.
        held: bytes of keys and values a token.
        reads: the requests, of which the branch has some.
        limits: what a batch may take.
    """
    room = limits.held // held
    batch: list[int] = []
    widest = copies = new = 0

    def order(place: int) -> tuple[int, str]:
        return -len(reads[place].prompt), reads[place].request.id

    for place in sorted(branch.rows, key=order):
        read = reads[place]
        own = len(read.prompt) - branch.depth
        cost, more = max(widest, own), copies + max(1, len(read.choices))
        answer = max(new, read.answer)
        full = cost * more > limits.tokens or len(batch) == limits.rows
        if batch and (full or more * (branch.depth + cost + answer) > room):
            yield batch
            batch, cost, answer = [], own, read.answer
            more = max(1, len(read.choices))
        batch.append(place)
        widest, copies, new = cost, more, answer
    if batch:
        yield batch
