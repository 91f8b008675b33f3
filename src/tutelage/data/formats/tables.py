r"""CSV and TSV with a header line.

CSV as in RFC 4180: fields split at commas, quoted with `"`, a quote inside doubled, line breaks allowed inside quotes (and read
as \n). TSV as IANA registered it: tabs and line ends split, and a quote is a character like any other. Python's csv module is
not used because an unclosed quote there swallows the rest of the file, and the line where it opened is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_LINE_BYTES
from tutelage.core.strictjson import shorten
from tutelage.data.formats import vectorized_tables
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.formats.lines import Line, LineBlock, Lines, too_long_error


def rows(
    lines: Lines,
    shown: str,
    *,
    delimiter: str,
    columns: Sequence[str] = (),
    has_header: bool = False,
) -> Iterator[RawRow | InputError]:
    """The rows of a table; all values are text. Blank lines are no rows.

    Args:
        lines: the file's lines.
        shown: its name in errors.
        delimiter: comma or tab.
        columns: the columns' names, when the file has no header line.
        has_header: whether a first line that reads like a row is a header all the same.

    Raises:
        InputError: for a header that cannot be used, or a quote that is never closed.
    """
    table = _Table(shown, delimiter, list(columns) or None, has_header=has_header)
    for piece in lines.pieces():
        yield from table.rows(piece)
    table.records.close()


class _Table:
    """A table being read piece by piece: at once where that can be, else line by line."""

    def __init__(self, shown: str, delimiter: str, header: list[str] | None, *, has_header: bool) -> None:
        self.records: _CsvRecords | _TsvRecords = _CsvRecords(shown) if delimiter == "," else _TsvRecords()
        self._shown = shown
        self._delimiter = delimiter
        self._header = header
        self._sure = has_header

    def rows(self, piece: LineBlock) -> Iterator[RawRow | InputError]:
        """The rows that end in a piece."""
        offset, line_number = 0, piece.number
        # To the first line that begins a row, once the columns are known.
        while offset < len(piece.raw) and (self._header is None or self.records.in_quotes):
            end = piece.raw.find(b"\n", offset) + 1 or len(piece.raw)
            line_number += 1
            yield from self._line(piece.line(piece.raw[offset:end], line_number, offset))
            offset = end
        if self._header is not None and (bulk := self._bulk_rows(piece.raw[offset:], line_number)):
            yield from bulk.rows
            offset, line_number = offset + bulk.byte_count, line_number + bulk.line_count
        for line in piece.behind(offset, line_number).lines():
            yield from self._line(line)

    def _bulk_rows(self, raw: bytes, line_before: int) -> vectorized_tables.Rows | None:
        # A piece below the limit holds no row beyond it.
        if self._header is None or len(raw) > MAX_LINE_BYTES:
            return None
        normalized = raw.replace(b"\r\n", b"\n") if b"\r" in raw else raw
        if b"\r" in normalized:
            return None
        bulk = vectorized_tables.read_rows(normalized, self._header, self._delimiter, line_before)
        if bulk is None or normalized is raw:
            return bulk
        end = len(raw)
        for _ in range(normalized.count(b"\n", bulk.byte_count) + 1):
            end = raw.rfind(b"\n", 0, end)
        return bulk._replace(byte_count=end + 1)

    def _line(self, line: Line | InputError) -> Iterator[RawRow | InputError]:
        for record in self.records.feed(line):
            if isinstance(record, InputError):
                if self._header is None:
                    raise record
                yield record
            elif self._header is None:
                self._header = _check_header(record, self._shown, self._delimiter, has_header=self._sure)
            elif len(record.values) != len(self._header):
                yield _field_count_error(record, self._header, self._shown, self._delimiter)
            else:
                yield RawRow(record.line, dict(zip(self._header, record.values, strict=True)))


@dataclass(slots=True)
class Record:
    """The fields of one CSV row, and the physical line on which it starts."""

    line: int
    values: list[str] = field(default_factory=list)


class _TsvRecords:
    """Lines to records: each is one."""

    in_quotes = False

    def feed(self, line: Line | InputError) -> Iterable[Record | InputError]:
        """The record of a line; none of a blank one."""
        if isinstance(line, InputError):
            return (line,)
        return (Record(line.number, line.text.split("\t")),) if line.text.strip() else ()

    def close(self) -> None:
        """Nothing can be open at the end."""


class _CsvRecords:
    """Lines to records; a record may span several of them, and is `inside` one then."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._row: _CsvRecordParser | None = None

    @property
    def in_quotes(self) -> bool:
        """Whether a record goes on in the next line."""
        return self._row is not None

    def feed(self, line: Line | InputError) -> Iterable[Record | InputError]:
        """The record that ends with a line, or what is wrong with it.

        Raises:
            InputError: for a quote that is not closed before the limit of a line.
        """
        if isinstance(line, InputError):
            return (line,)
        parser = self._row
        if parser is None:
            if (record := _unquoted_record(line)) is not None:
                return record
            parser = self._row = _CsvRecordParser(line.number)
        error = parser.feed(line, self._shown)
        if error is not None:
            self._row = None
            return (error,)
        if not parser.in_quotes:
            self._row = None
            return (parser.record,)
        if parser.size > MAX_LINE_BYTES:
            raise too_long_error(f"{self._shown}:{parser.opened}")
        return ()

    def close(self) -> None:
        """Raise InputError when a quote is still open at the file's end."""
        if (parser := self._row) is not None:
            raise InputError(
                "a quote is opened and never closed",
                where=f"{self._shown}:{parser.opened}",
                found=f'a field that starts with "{parser.parts[0][:40]} and runs to the end of the file',
                expected='a closing "',
                fix='close the quote on that line; a quote that belongs to the text is doubled: ""',
            )


def csv_records(lines: Iterable[Line | InputError], shown: str) -> Iterator[Record | InputError]:
    """Split lines into records, line by line.

    Raises:
        InputError: for a quote that is not closed before the file's end or the line limit.
    """
    records = _CsvRecords(shown)
    for line in lines:
        yield from records.feed(line)
    records.close()


def _unquoted_record(line: Line) -> list[Record] | None:
    """The record of a line in which nothing is quoted, none for a blank one; None when there is more to look at."""
    text = line.text
    if not text.strip():
        return []
    return None if '"' in text or "\r" in text else [Record(line.number, text.split(","))]


class _CsvRecordParser:
    """A record being read: `inside` says that a quoted field goes on in the next line."""

    def __init__(self, number: int) -> None:
        self.record = Record(number)
        self.in_quotes = False
        self.opened = number
        self.parts: list[str] = []
        self.size = 0

    def feed(self, line: Line, shown: str) -> InputError | None:
        """Take one more physical line."""
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
                if offset < len(text) and text[offset] != ",":
                    return _after_quote_error(text, offset, f"{shown}:{line.number}")
            else:
                end = text.find(",", offset)
                end = len(text) if end < 0 else end
                if "\r" in (value := text[offset:end]):
                    return _bare_return_error(f"{shown}:{line.number}")
                self.record.values.append(value)
                offset = end
            if offset >= len(text):
                return None
            offset += 1

    def _quoted(self, text: str, offset: int) -> int:
        """Read on in a quoted field; returns the place after its closing quote, or leaves `inside` set."""
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


def _after_quote_error(text: str, at: int, where: str) -> InputError:
    return InputError(
        "text follows a closing quote",
        where=where,
        found=shorten(text[max(0, at - 10) : at + 20]),
        expected="a comma or the end of the line",
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
    for separator in ";\t,":
        if len(names) == 1 and separator != delimiter and separator in names[0]:
            name = {";": "semicolons", "\t": "tabs", ",": "commas"}[separator]
            raise InputError(
                f"the columns seem to be split by {name}",
                where=where,
                found=shorten(names[0]),
                expected="commas in a .csv file, tabs in a .tsv file",
                fix="save the file with commas, or name it .tsv when it has tabs",
            )
    for index, name in enumerate(names):
        if not name.strip():
            raise InputError(
                f"column {index + 1} has no name",
                where=where,
                found=shorten(delimiter.join(names)),
                expected="a header line that names every column",
                fix="put the columns' names into the first line",
            )
        if name in names[:index]:
            raise InputError(
                f"two columns are called {shorten(name)}",
                where=where,
                found=shorten(delimiter.join(names)),
                expected="every name once",
                fix="rename one of them",
            )
    if not has_header and any(map(_looks_like_value, names)):
        raise _no_header_error(names, where)
    return names


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


def _field_count_error(record: Record, header: list[str], shown: str, delimiter: str) -> InputError:
    name = "comma" if delimiter == "," else "tab"
    return InputError(
        "the row has another number of fields than the header",
        where=f"{shown}:{record.line}",
        found=f"{len(record.values)} fields: {shorten(delimiter.join(record.values))}",
        expected=f"{len(header)} fields: {', '.join(header)}"[:200],
        fix=f"put a value that holds a {name} in double quotes"
        if delimiter == ","
        else "a value in a TSV file can hold no tab and no line break; use CSV or JSONL for those",
    )
