"""The input and output of layouts: reading options, and the rows that a raw row gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.types import History, Json

Fields = Mapping[str, Json]


class MissingColumnError(InputError):
    """A row lacks a column that the recipe or the layout needs; most often all rows of the file lack it."""


class LayoutRow(NamedTuple):
    """A row that a layout made of a raw row; `part` numbers the rows of one raw row from 1, 0 if there is only one."""

    fields: dict[str, Json]
    part: int = 0
    history: History = ()


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """The names of a label column's values.

    Attributes:
        names: value to name. Values that are names already stay.
        column: the label column; detected by its name if not given.
        options: whether each row gets all names as the field `options`.
    """

    names: Mapping[str, str]
    column: str | None = None
    options: bool = False


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read rows.

    Attributes:
        layout: the layout's name; detected if not given.
        turns: which assistant turns of a conversation become rows.
        join_turns: whether turns of one speaker in a row are joined.
        columns: the columns' names, if the file does not name them.
        labels: label names, for classification.
        on_bad_row: whether a bad row stops the reading or is dropped.
        needs_answers: whether every row must hold its answer; rows that are only to be answered need none.
        notes: counts of unusual but harmless findings, filled while reading.
    """

    layout: str | None = None
    turns: Literal["every", "last"] = "every"
    columns: tuple[str, ...] = ()
    labels: LabelMapping | None = None
    on_bad_row: Literal["stop", "drop"] = "stop"
    needs_answers: bool = True
    join_turns: bool = False
    notes: dict[str, int] = field(default_factory=dict, compare=False)

    def note(self, text: str, count: int = 1) -> None:
        """Count an unusual but harmless finding."""
        self.notes[text] = self.notes.get(text, 0) + count
