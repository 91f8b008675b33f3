"""The kinds of newly wrong items of results.json as a table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import lost_items
from tutelage.report import formatting

MAX_IDS = 5

_MEANINGS = {
    lost_items.NEVER_STOPPED: "cut off at the limit, where the base's answer ended",
    lost_items.REFUSED: "a phrase of a refusal",
    lost_items.OTHER_LANGUAGE: "in a language of neither question nor right answer",
    lost_items.FORMAT_BROKEN: "states the right answer in a form that does not count, or none of the choices",
    lost_items.WRONG: "another answer",
}


@dataclass(frozen=True, slots=True)
class KindRow:
    """A kind of newly wrong items: its name, what it means, how many there are, and the ids of the first ones."""

    kind: str
    meaning: str
    count: int
    ids: str


@dataclass(frozen=True, slots=True)
class LostTable:
    """The newly wrong items of a benchmark by kind.

    Attributes:
        rows: the kinds that occur.
        newly_wrong: how many items turned wrong.
        newly_right: how many items turned right.
        latin_languages: whether languages of Latin script were told apart.
    """

    rows: tuple[KindRow, ...]
    newly_wrong: int
    newly_right: int
    latin_languages: bool


def lost_table(lost: Mapping[str, Any] | None) -> LostTable | None:
    """Make the table of a watched benchmark; None where nothing turned wrong or right, or results have no kinds.

    Args:
        lost: `lost_items` of results.json.
    """
    if not lost:
        return None
    kinds: Mapping[str, list[str]] = lost["kinds"]
    rows = tuple(
        KindRow(kind, _MEANINGS[kind], len(kinds[kind]), _first(kinds[kind]))
        for kind in lost_items.KINDS
        if kinds.get(kind)
    )
    newly_right = len(lost["newly_right"])
    if not rows and not newly_right:
        return None
    return LostTable(rows, sum(row.count for row in rows), newly_right, bool(lost["latin_languages"]))


def _first(ids: list[str]) -> str:
    more = len(ids) - MAX_IDS
    return ", ".join([*map(formatting.plain, ids[:MAX_IDS]), *([f"and {more} more"] if more > 0 else [])])
