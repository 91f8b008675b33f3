"""Columns of a table that have no name in its header: the index that pandas writes, and empty ones that spreadsheets leave."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten

_WHOLE_NUMBER = re.compile(r"\s*[+-]?\d+\s*")


@dataclass(slots=True)
class UnnamedColumns:
    """Follows the values of columns without a name.

    Attributes:
        places: the columns' places in the header, from 0.
        filled: those in which some row has a value.
    """

    places: tuple[int, ...] = ()
    filled: set[int] = field(default_factory=set)

    @classmethod
    def of_header(cls, names: Sequence[str]) -> UnnamedColumns:
        """Those of a header line."""
        return cls(tuple(place for place, name in enumerate(names) if not name.strip()))

    def check(self, values: Sequence[str], where: str) -> None:
        """Check a row: an unnamed first column may hold whole numbers, as pandas' index does, any other one nothing.

        Raises:
            InputError: such a column holds something else.
        """
        for place in self.places:
            value = values[place]
            if not value.strip():
                continue
            self.filled.add(place)
            if place == 0 and _WHOLE_NUMBER.fullmatch(value):
                continue
            raise InputError(
                f"column {place + 1} has no name and holds text"
                if place == 0
                else f"column {place + 1} has no name and is not empty",
                where=where,
                found=shorten(value),
                expected="a name for the column in the first line"
                + (", or the index that pandas writes: whole numbers" if place == 0 else ""),
                fix="write a name for it into the first line, or take the column out",
            )

    def notes(self) -> list[str]:
        """What was left out."""
        return [
            f"column {place + 1} has no name and counts the rows, as the index that pandas writes: it was left out"
            if place in self.filled
            else f"column {place + 1} has no name and every value of it is empty: it was left out"
            for place in self.places
        ]
