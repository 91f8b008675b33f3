r"""Reads CSV and TSV files with a header line.

CSV follows RFC 4180: fields are separated by commas and may be quoted with `"`; a quote inside a quoted field is doubled, and line
breaks are allowed there (read as \n). Where the first line has no comma but semicolons or tabs, as spreadsheets write it in many
countries, these separate the fields. TSV follows IANA's registration: tabs separate fields, and a quote is an ordinary character.
Python's csv module is not used: with it an unclosed quote swallows the rest of the file, and the line where it opened is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_LINE_BYTES
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Json
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.formats.lines import Line, too_long_error
from tutelage.data.formats.unnamed_columns import UnnamedColumns

_NAMES = {",": "comma", ";": "semicolon", "\t": "tab"}
_QUOTED = re.compile(r'"[^"]*("|$)')


def rows(
    lines: Iterable[Line | InputError],
    shown: str,
    *,
    delimiter: str,
    columns: Sequence[str] = (),
    has_header: bool = False,
    notes: list[str] | None = None,
) -> Iterator[RawRow | InputError]:
    """The rows of a table, with text values only. Blank lines are skipped.

    A column without a name is left out when it is the index that pandas writes, or empty.

    Args:
        lines: the file's lines.
        shown: its name in errors.
        delimiter: comma, or tab for TSV.
        columns: the columns' names, if the file has no header line; a first line that has them all is its header.
        has_header: whether the first line is a header even if it reads like a row.
        notes: takes notes on columns without a name, and on a CSV file that is separated by something else than commas.

    Raises:
        InputError: the header cannot be used, or lacks some of `columns`, a column without a name has values, or a quote is never closed.
    """
    header: list[str] = []
    unnamed = UnnamedColumns()
    quoted = delimiter == ","
    if quoted:
        delimiter, lines = _delimiter(iter(lines), notes)
    for record in csv_records(lines, shown, delimiter) if quoted else _tsv_records(lines):
        if isinstance(record, InputError):
            if not header and not columns:
                raise record
            yield record
            continue
        if not header:
            names_columns = _names_columns(record, columns, shown)
            if not columns or names_columns:
                unnamed = UnnamedColumns.of_header(record.values)
                header = _check_header(record, shown, delimiter, has_header=has_header or names_columns)
                continue
            header = list(columns)
        if len(record.values) != len(header):
            yield _field_count_error(record, header, shown, delimiter, quoted=quoted)
            continue
        fields: dict[str, Json] = dict(zip(header, record.values, strict=True))
        if unnamed.places:
            unnamed.check(record.values, f"{shown}:{record.line}")
            fields = {name: value for name, value in fields.items() if name}
        yield RawRow(record.line, fields)
    if notes is not None:
        notes += unnamed.notes()


def _delimiter(
    lines: Iterator[Line | InputError], notes: list[str] | None
) -> tuple[str, Iterator[Line | InputError]]:
    """What separates the fields of a CSV file, by its first line that is not blank; and all lines, to be read."""
    first: list[Line | InputError] = []
    for line in lines:
        first.append(line)
        if isinstance(line, InputError) or line.text.strip():
            break
    text = first[-1].text if first and isinstance(first[-1], Line) else ""
    outside_quotes = _QUOTED.sub("", text)
    present = [delimiter for delimiter in _NAMES if delimiter in outside_quotes]
    delimiter = present[0] if present else ","
    if delimiter != "," and notes is not None:
        notes.append(f"the fields are separated by {_NAMES[delimiter]}s")
    return delimiter, chain(first, lines)


@dataclass(slots=True)
class Record:
    """The fields of one row of a table, and the physical line on which it starts."""

    line: int
    values: list[str] = field(default_factory=list)


def _tsv_records(lines: Iterable[Line | InputError]) -> Iterator[Record | InputError]:
    for line in lines:
        if isinstance(line, InputError):
            yield line
        elif line.text.strip():
            yield Record(line.number, line.text.split("\t"))


def csv_records(
    lines: Iterable[Line | InputError], shown: str, delimiter: str = ","
) -> Iterator[Record | InputError]:
    """Split lines into records; a record with quoted line breaks spans several lines.

    Raises:
        InputError: a quote is not closed before the end of the file or the length limit of a line.
    """
    parser: _CsvRecordParser | None = None
    for line in lines:
        if isinstance(line, InputError):
            yield line
            continue
        if parser is None:
            if not line.text.strip():
                continue
            if '"' not in line.text and "\r" not in line.text:
                yield Record(line.number, line.text.split(delimiter))
                continue
            parser = _CsvRecordParser(line.number, delimiter)
        error = parser.feed(line, shown)
        if error is not None or not parser.in_quotes:
            yield error or parser.record
            parser = None
        elif parser.size > MAX_LINE_BYTES:
            raise too_long_error(f"{shown}:{parser.opened}")
    if parser is not None:
        raise InputError(
            "a quote is opened and never closed",
            where=f"{shown}:{parser.opened}",
            found=f'a field that starts with "{parser.parts[0][:40]} and runs to the end of the file',
            expected='a closing "',
            fix='close the quote on that line; a quote that belongs to the text is doubled: ""',
        )


class _CsvRecordParser:
    """Parses one CSV record, which may span lines: `in_quotes` says that a quoted field continues on the next line."""

    def __init__(self, number: int, delimiter: str) -> None:
        self.delimiter = delimiter
        self.record = Record(number)
        self.in_quotes = False
        self.opened = number
        self.parts: list[str] = []
        self.size = 0

    def feed(self, line: Line, shown: str) -> InputError | None:
        """Parse the next physical line of the record; returns the error if it is malformed."""
        self.size += len(line.text) + 1
        text, offset = line.text, 0
        while True:
            if self.in_quotes or text.startswith('"', offset):
                if not self.in_quotes:
                    self.in_quotes, self.opened, self.parts = True, line.number, []
                    offset += 1
                offset = self._quoted(text, offset)
                if self.in_quotes:
                    return None
                if offset < len(text) and text[offset] != self.delimiter:
                    return _after_quote_error(text, offset, f"{shown}:{line.number}", self.delimiter)
            else:
                end = text.find(self.delimiter, offset)
                end = len(text) if end < 0 else end
                if "\r" in (value := text[offset:end]):
                    return _bare_return_error(f"{shown}:{line.number}")
                self.record.values.append(value)
                offset = end
            if offset >= len(text):
                return None
            offset += 1

    def _quoted(self, text: str, offset: int) -> int:
        """Parse the rest of a quoted field; returns the offset after its closing quote, or leaves `in_quotes` set."""
        while True:
            end = text.find('"', offset)
            if end < 0:
                self.parts += [text[offset:], "\n"]
                return len(text)
            self.parts.append(text[offset:end])
            if not text.startswith('"', end + 1):
                self.record.values.append("".join(self.parts))
                self.in_quotes = False
                return end + 1
            self.parts.append('"')
            offset = end + 2


def _after_quote_error(text: str, at: int, where: str, delimiter: str) -> InputError:
    return InputError(
        "text follows a closing quote",
        where=where,
        found=shorten(text[max(0, at - 10) : at + 20]),
        expected=f"a {_NAMES[delimiter]} or the end of the line",
        fix='a quote that belongs to the text is doubled: ""',
    )


def _bare_return_error(where: str) -> InputError:
    return InputError(
        "a carriage return stands alone in the line",
        where=where,
        found="\\r without \\n",
        expected="lines that end in \\n or \\r\\n",
        fix="save the file with Unix or Windows line ends; put a value that holds a line break in quotes",
    )


def _check_header(record: Record, shown: str, delimiter: str, *, has_header: bool) -> list[str]:
    where = f"{shown}:{record.line}"
    names = record.values
    if len(names) == 1 and delimiter == "\t" and (others := [name for name in ",;" if name in names[0]]):
        raise InputError(
            f"the columns seem to be split by {_NAMES[others[0]]}s",
            where=where,
            found=shorten(names[0]),
            expected="tabs in a .tsv file",
            fix="let the file's name end in .csv",
        )
    for index, name in enumerate(names):
        if name.strip() and name in names[:index]:
            raise InputError(
                f"two columns are called {shorten(name)}",
                where=where,
                found=shorten(delimiter.join(names)),
                expected="every name once",
                fix="rename one of them",
            )
    if not has_header and any(map(_looks_like_value, names)):
        raise _no_header_error(names, where)
    return [name if name.strip() else "" for name in names]


def _names_columns(record: Record, columns: Sequence[str], shown: str) -> bool:
    """Whether the first line is a header that has all of `columns`.

    Raises:
        InputError: it has half of them or more but not all, or fewer and another number of fields.
    """
    names = [name.strip() for name in record.values]
    missing = [name for name in columns if name not in names]
    # A row may hold the name of a column: MMLU's answers are A to D, and so are its columns of choices.
    if missing and (2 * len(missing) <= len(columns) or len(names) != len(columns)):
        raise unknown_name(
            "the first line has no such column",
            missing[0],
            [name for name in names if name],
            where=f"{shown}:{record.line}",
            fix="write into data.columns names of the first line; for a file without header, a name for each of its "
            f"{len(names)} columns",
        )
    return bool(columns) and not missing


def _looks_like_value(name: str) -> bool:
    return len(name) > 60 or (" " in name and name[-1] in ".?!")


def _no_header_error(names: list[str], where: str) -> InputError:
    placeholders = ", ".join(f"column{n}" for n in range(1, len(names) + 1))
    chain_of_thought_advice = (
        "  or, for FLAN's chains of thought,  layout: flan-cot" if len(names) == 3 else ""
    )
    return InputError(
        "the first line reads like a row, not like the columns' names",
        where=where,
        found=shorten(names[0]),
        expected="a header line that names the columns",
        fix=f"write into data  columns: [{placeholders}]{chain_of_thought_advice}  or  layout: plain  when it is the header",
    )


def _field_count_error(
    record: Record, header: list[str], shown: str, delimiter: str, *, quoted: bool
) -> InputError:
    return InputError(
        "the row has another number of fields than the header",
        where=f"{shown}:{record.line}",
        found=f"{len(record.values)} fields: {shorten(delimiter.join(record.values))}",
        expected=f"{len(header)} fields: {', '.join(header)}"[:200],
        fix=f"put a value that holds a {_NAMES[delimiter]} in double quotes"
        if quoted
        else "a value in a TSV file can hold no tab and no line break; use CSV or JSONL for those",
    )
