"""Greedy generation of many requests at once: rows that end leave, and the next ones take their places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.core.types import Request
from tutelage.engine.decode_batch import Rows
from tutelage.engine.encoded_request import Read
from tutelage.engine.limits import Limits
from tutelage.engine.packed_scoring import TOKENS, Pack, packs
from tutelage.engine.prefixes import Branch
from tutelage.engine.shared_prefix import Beginning

Source = Iterator[tuple[Beginning, list[Read], Pack]]
"""Requests in packs, each with the beginning that it goes on from."""


@dataclass(slots=True)
class Row:
    """A generation under way."""

    request: Request
    ids: list[int]
    finish: str = ""


def packs_of(
    branches: Iterable[tuple[Branch, Any]], reads: Sequence[Read], limits: Limits, tokens: int
) -> Source:
    """Requests in packs, those with the longest prompts of a branch first.

    Args:
        branches: each with the keys and values of what has been read down to it, none at the root; depth first.
        reads: the requests.
        limits: of a batch.
        tokens: how many are held at most.
    """
    path: list[Branch] = []
    for branch, cache in branches:
        while path and not any(one is branch for one in path[-1].branches):
            path.pop()
        beginning = Beginning(branch.depth, cache, sum(one.depth for one in path))
        path.append(branch)
        order = sorted(branch.rows, key=lambda place: (-len(reads[place].prompt), place))
        below = [reads[place] for place in order]
        need = max((len(read.prompt) - branch.depth + read.answer for read in below), default=1)
        # A quarter of the rows, so that not many must have ended before the next are taken up; fewer where there is no room.
        few = max(1, min(limits.rows // 4, (tokens - beginning.above - branch.depth) // need))
        for chosen, pack in packs(below, branch.depth, tokens=min(limits.tokens, TOKENS), rows=few):
            yield beginning, chosen, pack


def generate(
    model: Any, source: Source, take: Callable[[Row, int], None], *, rows: int, tokens: int
) -> Iterator[list[Row]]:
    """Generate greedily; gives rows as they end, some at a time.

    Args:
        model: a decoder-only model of which `rows.takes_rows` holds, in inference mode.
        source: what is asked, in the order in which it is taken up.
        take: gives a row its next token, and says in `finish` when it has ended.
        rows: how many are under way at once.
        tokens: how many are held at most, of rows to their ends and of beginnings, where a single pack does not need more.
    """
    under = Rows(model, most=rows)
    active: list[Row] = []
    said: list[int] = []
    waiting = next(source, None)
    while active or waiting:
        while waiting and _fits(under, waiting, rows=rows, tokens=tokens):
            beginning, reads, pack = waiting
            room = tokens - _begun(under, beginning)
            said += under.admit(beginning, reads, pack, room=room).argmax(-1).tolist()
            active += [Row(read.request, []) for read in reads]
            waiting = next(source, None)
        for row, token in zip(active, said, strict=True):
            take(row, token)
        gone = {place for place, row in enumerate(active) if row.finish}
        if gone:
            yield [active[place] for place in sorted(gone)]
            order = under.leave(gone)
            active, said = [active[row] for row in order], [said[row] for row in order]
        if active:
            said = under.feed(said).argmax(-1).tolist()


def _begun(under: Rows, beginning: Beginning) -> int:
    """Tokens of the beginnings that are held when rows of this one come in."""
    return beginning.above + sum(one.depth for one in under.beginnings() | {beginning})


def _fits(under: Rows, waiting: tuple[Beginning, list[Read], Pack], *, rows: int, tokens: int) -> bool:
    """Whether a pack can be taken up now: alone always, else where rows and tokens to its answers' end are free."""
    beginning, reads, _ = waiting
    if not len(under):
        return True
    if len(under) + len(reads) > rows:
        return False
    width = max(len(read.prompt) - beginning.depth + read.answer for read in reads)
    return _begun(under, beginning) + under.room(len(reads), width) <= tokens
