"""Greedy generation of many requests at once: rows that end leave, and the next ones take their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tutelage.core.nouns import Request
from tutelage.engine.packed import Pack
from tutelage.engine.reading import Read
from tutelage.engine.rows import Beginning, Rows

Source = Iterator[tuple[Beginning, list[Read], Pack]]
"""Requests in packs, each with the beginning that it goes on from."""


@dataclass(slots=True)
class Row:
    """A generation under way."""

    request: Request
    ids: list[int]
    finish: str = ""


def generate(
    model: Any, source: Source, take: Callable[[Row, int], None], *, rows: int, held: int
) -> Iterator[list[Row]]:
    """Generate greedily; gives rows as they end, some at a time.

    Args:
        model: a decoder-only model of which `rows.takes_rows` holds, in inference mode.
        source: what is asked, in the order in which it is taken up.
        take: gives a row its next token, and says in `finish` when it has ended.
        rows: how many are under way at once.
        held: bytes of keys and values at most, whatever a single pack takes.
    """
    under = Rows(model, most=rows)
    active: list[Row] = []
    tokens: list[int] = []
    waiting = next(source, None)
    while active or waiting:
        while waiting and _fits(under, waiting, rows=rows, held=held):
            beginning, reads, pack = waiting
            tokens += under.admit(beginning, reads, pack).argmax(-1).tolist()
            active += [Row(read.request, []) for read in reads]
            waiting = next(source, None)
        for row, token in zip(active, tokens, strict=True):
            take(row, token)
        gone = {place for place, row in enumerate(active) if row.finish}
        if gone:
            yield [active[place] for place in sorted(gone)]
            order = under.leave(gone)
            active, tokens = [active[row] for row in order], [tokens[row] for row in order]
        if active:
            tokens = under.feed(tokens).argmax(-1).tolist()


def _fits(under: Rows, waiting: tuple[Beginning, list[Read], Pack], *, rows: int, held: int) -> bool:
    """Whether a pack can be taken up now: alone always, else where rows and bytes to its answers' end are free."""
    beginning, reads, _ = waiting
    if not len(under):
        return True
    if len(under) + len(reads) > rows:
        return False
    width = max(len(read.prompt) - beginning.depth + read.answer for read in reads)
    begun = sum(one.bytes() for one in under.beginnings() | {beginning})
    return begun + under.room(len(reads), width) * under.token_bytes <= held
