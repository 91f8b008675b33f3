"""Reads data files of any known format, strictly, into examples that know their file and physical line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

from tutelage.core.errors import InputError, InputErrors, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import Example, Origin
from tutelage.data import layouts
from tutelage.data.formats import OpenedFile, invisible, open_file
from tutelage.data.formats.blocks import empty_file_error
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.layouts import Layout, MissingColumnError, ReadOptions, unanswered
from tutelage.data.row_values import RowValues

_DETECTION_ROWS = 64
"""Rows at the start of a file from which its layout is detected."""
_FIXED_COLUMNS = ("csv", "tsv", "parquet", "arrow")
_MAX_DROPPED_BEFORE_CHECK = 10_000
"""Dropped rows beyond which reading stops as soon as they outnumber the good ones."""


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A bad row that was dropped: its place and the reason."""

    where: str
    why: str

    @classmethod
    def of(cls, error: InputError) -> DroppedRow:
        """The dropped row that an error is about."""
        detail = f" ({error.found})" if error.found else ""
        return cls(error.where or "", f"{error.problem}{detail}")


def read(path: Path, *, shown: str | None = None, options: ReadOptions | None = None) -> Iterator[Example]:
    """Read a data file row by row.

    Args:
        path: a file with a known ending (see `formats.EXTENSIONS`); text files may be compressed (.gz, .zst).
        shown: the file's name in errors and origins; `path` if not given.
        options: how to read the rows.

    Yields:
        The examples in the file's order, up to the first mistake.

    Raises:
        InputError: the file is wrong; InputErrors with all mistakes once the file is read to its end.
    """
    yield from open_reader(path, shown or str(path), options or ReadOptions())


def open_reader(path: Path, shown: str, options: ReadOptions, *, name: str = "") -> ExampleReader:
    """Open one file for reading.

    Args:
        path: the file.
        shown: its name in errors and origins.
        options: how to read the rows.
        name: the prefix of its row ids; the file's name if not given.
    """
    chain_of_thought = options.layout == "flan-cot" and not options.columns
    opened = open_file(
        path,
        shown,
        columns=("question", "answer", "rationale") if chain_of_thought else options.columns,
        has_header=options.layout == "plain",
        as_conll=options.layout == "entities",
    )
    return ExampleReader(opened, shown, options, name=name)


class ExampleReader:
    """Iterates once over the examples of one file.

    After the last row `opened` has the file's hash, `notes` describes it, `layout` is its layout (detected if it was not set), and
    `dropped` lists the dropped rows.
    """

    def __init__(self, opened: OpenedFile, shown: str, options: ReadOptions, *, name: str = "") -> None:
        self.opened = opened
        self.layout: Layout | None = None
        self.dropped: list[DroppedRow] = []
        self._shown = shown
        self._name = name or Path(shown).name
        self._options = options
        self._errors: list[InputError] = []
        self._count = 0
        self._hidden = 0
        self._first_hidden = ""
        self.values = RowValues(options, opened.format)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on unusual but harmless properties of the file."""
        notes = (*self.opened.notes, *self.values.notes())
        if not self._hidden:
            return notes
        note = f"invisible or direction-changing characters stand in {self._hidden} rows and were kept, first in "
        return (*notes, note + self._first_hidden)

    def __iter__(self) -> Iterator[Example]:
        for row in self._rows_with_layout():
            try:
                examples = self._examples(row)
            except InputError as error:
                self._record_error(error)
                if isinstance(error, MissingColumnError) and self.opened.format in _FIXED_COLUMNS:
                    self._refuse_unknown_columns()
                    # A file with fixed columns lacks it in every row: one mistake, which dropping rows cannot mend.
                    raise_all(self._shown, self._errors or [error])
                if len(self._errors) == MAX_MISTAKES:
                    break
                continue
            self._count += 1
            if not self._errors:
                yield from examples
        self._refuse_unknown_columns()
        raise_all(self._shown, self._errors)
        if not self._count and not self.dropped:
            raise empty_file_error(self._shown, "no rows")

    def _rows_with_layout(self) -> Iterator[RawRow | InputError]:
        """The rows, after the layout is detected from the first ones."""
        first = list(islice(self.opened.rows, _DETECTION_ROWS))
        fields = [row.fields for row in first if isinstance(row, RawRow)]
        if not self._options.needs_answers:
            fields = [unanswered.with_stand_ins(row) for row in fields]
        if self.layout is None:
            picked = [self.values.of(row_fields) for row_fields in fields]
            if self.values.missing():
                self.layout = layouts.detect(fields, self._options, self.opened.format)
            if self.layout is None or self.layout.name != "translation":
                self.layout = layouts.detect(picked, self._options, self.opened.format)
            self.values = RowValues(self._options, self.opened.format)
        if self.layout.name == "translation":  # there `columns` names languages
            self.values.pick_none()
        return chain(first, self.opened.rows)

    def _refuse_unknown_columns(self) -> None:
        if error := self.values.unknown_column_error(self._shown):
            raise error

    def _examples(self, row: RawRow | InputError) -> list[Example]:
        """The examples of a row; raises its error if it has one."""
        assert self.layout is not None
        if isinstance(row, InputError):
            raise row
        fields = self.values.of(row.fields)
        # The id is made of name and line, not of content: two equal rows are still two rows.
        identity = f"{self._name}:{row.line}.{row.item}" if row.item else f"{self._name}:{row.line}"
        origin = Origin(self._shown, row.line, self.opened.unit, row.item)
        if any(map(invisible.in_value, fields.values())):
            self._hidden += 1
            self._first_hidden = self._first_hidden or str(origin)
        if self.layout is layouts.PLAIN:
            return [Example(identity, fields, origin)]
        read = self.layout.read if self._options.needs_answers else partial(unanswered.read, self.layout)
        return [
            Example(
                f"{identity}#{converted.part}" if converted.part else identity,
                converted.fields,
                origin,
                converted.history,
            )
            for converted in read(fields, self._options, str(origin))
        ]

    def _record_error(self, error: InputError) -> None:
        if self._options.on_bad_row == "drop":
            self.dropped.append(DroppedRow.of(error))
            if len(self.dropped) > max(_MAX_DROPPED_BEFORE_CHECK, self._count):
                raise too_many_dropped_error(self._shown, self.dropped, self._count)
        elif not (
            isinstance(error, MissingColumnError) and error.problem in {e.problem for e in self._errors}
        ):
            self._errors.append(error)


def too_many_dropped_error(shown: str, dropped: list[DroppedRow], count: int) -> InputError:
    """The error for data with more dropped rows than good ones."""
    errors = [
        InputError(row.why, where=row.where, fix="correct the row, or the recipe's data block")
        for row in dropped[:MAX_MISTAKES]
    ]
    summary = InputError(
        "more than half of the rows would be dropped",
        where=shown,
        found=f"{len(dropped)} with a mistake, {count} without",
        expected="a few bad rows in good data",
        fix="look at the first ones below: the data does not have the format or layout that the recipe expects",
    )
    return InputErrors(shown, [summary, *errors])
