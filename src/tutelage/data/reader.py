"""The strict reader: data files of any known kind to examples with file and physical line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from tutelage.core.errors import InputError, InputErrors, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import Example, Origin
from tutelage.data import layouts
from tutelage.data.formats import OpenedFile, invisible, open_file
from tutelage.data.formats.blocks import empty_file_error
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.layouts import Layout, MissingColumnError, ReadOptions

_DETECTION_ROWS = 64
"""First rows that say which layout a file has."""
_FIXED_COLUMNS = ("csv", "tsv", "parquet", "arrow")
_MAX_DROPPED_BEFORE_CHECK = 10_000
"""Bad rows from which on it is not waited for the file's end to see that they are the most."""


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row that was left out because of a mistake."""

    where: str
    why: str

    @classmethod
    def of(cls, error: InputError) -> DroppedRow:
        """The row that an error is about."""
        detail = f" ({error.found})" if error.found else ""
        return cls(error.where or "", f"{error.problem}{detail}")


def read(path: Path, *, shown: str | None = None, options: ReadOptions | None = None) -> Iterator[Example]:
    """Read a data file row by row.

    Args:
        path: a file whose ending says what it is (see `formats.EXTENSIONS`), any text one with .gz or .zst behind it.
        shown: the file's name in errors and origins; `path` when not given.
        options: how rows are to be read.

    Yields:
        The examples in the file's order, up to the first mistake.

    Raises:
        InputError: a mistake, or InputErrors with all of them, when the file was read.
    """
    yield from open_reader(path, shown or str(path), options or ReadOptions())


def open_reader(
    path: Path, shown: str, options: ReadOptions, *, layout: Layout | None = None, name: str = ""
) -> ExampleReader:
    """A reader of one file.

    Args:
        path: the file.
        shown: its name in errors and origins.
        options: how rows are to be read.
        layout: the one that the file before it had.
        name: what its rows are called by; the file's name when not given.
    """
    chain_of_thought = options.layout == "flan-cot" and not options.columns
    opened = open_file(
        path,
        shown,
        columns=("question", "answer", "rationale") if chain_of_thought else options.columns,
        has_header=options.layout == "plain",
        as_conll=options.layout == "entities",
    )
    return ExampleReader(opened, shown, options, layout=layout, name=name)


class ExampleReader:
    """One file to be read once.

    After the last row `sha256` and `notes` say what was read, `layout` which layout was taken, and `dropped` which rows
    were left out.
    """

    def __init__(
        self,
        opened: OpenedFile,
        shown: str,
        options: ReadOptions,
        *,
        layout: Layout | None = None,
        name: str = "",
    ) -> None:
        self.shown = shown
        self._name = name or Path(shown).name
        self.layout = layout
        self.dropped: list[DroppedRow] = []
        self._opened = opened
        self._options = options
        self._errors: list[InputError] = []
        self._count = 0
        self._hidden = 0
        self._first_hidden = ""

    @property
    def format(self) -> str:
        """What kind of file it is."""
        return self._opened.format

    @property
    def sha256(self) -> str:
        """The hash of the bytes read."""
        return self._opened.sha256

    @property
    def notes(self) -> tuple[str, ...]:
        """What was unusual about the file and harmless."""
        if not self._hidden:
            return self._opened.notes
        note = f"invisible or direction-changing characters stand in {self._hidden} rows and were kept, first in "
        return (*self._opened.notes, note + self._first_hidden)

    def __iter__(self) -> Iterator[Example]:
        rows = self._rows_with_layout()
        shown, name, unit, errors = self.shown, self._name, self._opened.unit, self._errors
        is_plain = self.layout is layouts.PLAIN
        for row in rows:
            # Nearly all rows of nearly all files: what `_examples` does, in fewer steps.
            if is_plain and type(row) is RawRow and row.plain and not errors:
                line, fields, item, _ = row
                self._count += 1
                identity = f"{name}:{line}.{item}" if item else f"{name}:{line}"
                yield Example(identity, fields, Origin(shown, line, unit, item))
                continue
            if isinstance(row, InputError):
                self._record_error(row)
                if len(self._errors) == MAX_MISTAKES:
                    break
                continue
            try:
                examples = self._examples(row)
            except InputError as error:
                self._record_error(error)
                if isinstance(error, MissingColumnError) and self.format in _FIXED_COLUMNS:
                    # No row of the file has it: that is one mistake, and none that leaving rows out could mend.
                    raise_all(self.shown, self._errors or [error])
                continue
            self._count += 1
            if not self._errors:
                yield from examples
        raise_all(self.shown, self._errors)
        if not self._count and not self.dropped:
            raise empty_file_error(self.shown, "no rows")

    def _rows_with_layout(self) -> Iterator[RawRow | InputError]:
        """The rows, once the first ones have said which layout they have."""
        if self.layout is not None:
            return self._opened.rows
        first = list(islice(self._opened.rows, _DETECTION_ROWS))
        fields = [row.fields for row in first if isinstance(row, RawRow)]
        self.layout = layouts.detect(fields, self._options, self._opened.format)
        return chain(first, self._opened.rows)

    def _examples(self, row: RawRow) -> list[Example]:
        assert self.layout is not None
        # The name and line, not the content: two rows may be equal and are still two rows.
        identity = f"{self._name}:{row.line}.{row.item}" if row.item else f"{self._name}:{row.line}"
        origin = Origin(self.shown, row.line, self._opened.unit, row.item)
        if not row.plain and any(map(invisible.in_value, row.fields.values())):
            self._hidden += 1
            self._first_hidden = self._first_hidden or str(origin)
        if self.layout is layouts.PLAIN:
            return [Example(identity, row.fields, origin)]
        return [
            Example(
                f"{identity}#{converted.part}" if converted.part else identity,
                converted.fields,
                origin,
                converted.history,
            )
            for converted in self.layout.read(row.fields, self._options, str(origin))
        ]

    def _record_error(self, error: InputError) -> None:
        if self._options.on_bad_row == "drop":
            self.dropped.append(DroppedRow.of(error))
            if len(self.dropped) > max(_MAX_DROPPED_BEFORE_CHECK, self._count):
                raise too_many_dropped_error(self.shown, self.dropped, self._count)
        elif isinstance(error, MissingColumnError) and any(
            earlier.problem == error.problem for earlier in self._errors
        ):
            return
        elif len(self._errors) < MAX_MISTAKES:
            self._errors.append(error)


def too_many_dropped_error(shown: str, dropped: list[DroppedRow], count: int) -> InputError:
    """The error for data of which more than half was dropped."""
    errors = [
        InputError(row.why, where=row.where, fix="correct the row, or the recipe's data block")
        for row in dropped[:MAX_MISTAKES]
    ]
    summary = InputError(
        "more than half of the rows would be dropped",
        where=shown,
        found=f"{len(dropped)} with a mistake, {count} without",
        expected="a few bad rows in good data",
        fix="look at the first ones below: the data is of another kind than the recipe says",
    )
    return InputErrors(shown, [summary, *errors])
