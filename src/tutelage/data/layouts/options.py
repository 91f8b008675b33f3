"""What a layout is told, and what it makes of a raw row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.types import History, Json

Fields = Mapping[str, Json]


class MissingColumnError(InputError):
    """A row has no field that a recipe or a layout asks for; the rows behind it most often have none either."""


class LayoutRow(NamedTuple):
    """One row as a layout makes it; `part` numbers the rows that one raw row gives, 0 where it always gives one."""

    fields: dict[str, Json]
    part: int = 0
    history: History = ()


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """What the values of a label column are called.

    Attributes:
        column: the column; the one that says by its name that it holds labels when not given.
        names: value to name. Values that are names already stay.
        options: whether each row gets all names as the field `options`.
    """

    names: Mapping[str, str]
    column: str | None = None
    options: bool = False


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How rows are to be read.

    Attributes:
        layout: the layout by name; detected when not given.
        turns: which assistant turns of a conversation are rows.
        columns: names of columns that the file itself does not name.
        labels: label names, for classification.
        on_bad_row: whether a row with a mistake stops the reading or is left out.
    """

    layout: str | None = None
    turns: Literal["every", "last"] = "every"
    columns: tuple[str, ...] = ()
    labels: LabelMapping | None = None
    on_bad_row: Literal["stop", "drop"] = "stop"
    notes: dict[str, int] = field(default_factory=dict, compare=False)

    def note(self, text: str, count: int = 1) -> None:
        """Count something unusual and harmless."""
        self.notes[text] = self.notes.get(text, 0) + count
