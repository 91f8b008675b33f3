"""Reads a JSON file that is one value: a list of rows, or an object that contains one.

Lists that are named after splits are read as the rows of those splits. A list is read item by item in bounded memory. An object is read as a whole, because its other members are added to every row, also
those that come after the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_LINE_BYTES
from tutelage.core.strictjson import json_kind, scan, shorten
from tutelage.core.types import Json, Origin
from tutelage.data.formats.jsonl import RawRow, row_of
from tutelage.data.formats.lines import Lines, too_long_error
from tutelage.data.split_names import SPLIT_COLUMN, split_name

ROW_LIST_NAMES = ("Instances", "instances", "examples", "data", "rows", "train")
"""Names of the member with the rows, by precedence."""
_SPACE = re.compile(r"[ \t\r\n]*")
_CLOSING = {"[": "]", "{": "}"}


class _Member(NamedTuple):
    """A member of a list or an object: its name ("" in a list), the line of its value, the value, and the members of that."""

    name: str
    line: int
    value: Json
    members: Sequence[_Member] = ()


class JsonDocument:
    """One JSON file, read once: `rows` yields its rows; then `lines.blocks` has the file's hash and notes."""

    def __init__(self, path: Path, shown: str) -> None:
        self.shown = shown
        self.lines = Lines(path, shown)
        self._chunks = self._decoded_chunks()
        self._text = ""
        self._position = 0
        self._line = 1
        self._at_end = False

    def rows(self) -> Iterator[RawRow | InputError]:
        """The rows, each with the physical line on which it starts."""
        opening = self._peek()
        if opening == "[":
            yield from self._rows(self._members(), {})
        elif opening == "{":
            yield from self._rows_of_object()
        elif opening:
            raise InputError(
                "the file holds no rows",
                where=f"{self.shown}:{self._line}",
                found=shorten(self._text[self._position : self._position + 40]),
                expected="a list of objects, or an object that holds one",
                fix="write one object a row",
            )
        if opening and self._peek():
            raise self._unexpected("the end of the file")

    def _rows_of_object(self) -> Iterator[RawRow | InputError]:
        line = self._line
        members = {member.name: member for member in self._members(nested=True)}
        row_lists = [name for name, member in members.items() if _holds_rows(member)]
        splits = {name: split for name in row_lists if (split := split_name(name)) is not None}
        if len(splits) > 1:
            shared = {name: member.value for name, member in members.items() if name not in row_lists}
            for name, split in splits.items():
                yield from self._rows(members[name].members, {**shared, SPLIT_COLUMN: split})
            others = [name for name in row_lists if name not in splits]
            if others:
                self.lines.blocks.notes.append("lists that are no split were left out: " + ", ".join(others))
            return
        rows_name = next((name for name in ROW_LIST_NAMES if name in row_lists), None)
        if rows_name is None and len(row_lists) > 1:
            raise InputError(
                "the file holds several lists of rows",
                where=f"{self.shown}:{line}",
                found=", ".join(row_lists),
                expected="one of " + ", ".join(ROW_LIST_NAMES),
                fix="keep one of them in the file, as a plain JSON list",
            )
        rows_name = rows_name or next(iter(row_lists), None)
        shared = {name: member.value for name, member in members.items() if name != rows_name}
        if rows_name is None:
            _refuse_table_by_columns(shared, f"{self.shown}:{line}")
            yield from self._rows([_Member("", line, shared)], {})
        else:
            yield from self._rows(members[rows_name].members, shared)

    def _rows(self, members: Iterable[_Member], shared: dict[str, Json]) -> Iterator[RawRow | InputError]:
        line = item = 0
        for member in members:
            item = 0 if member.line != line else max(2, item + 1)
            line = member.line
            yield _row(member, Origin(self.shown, line, item=item), shared)

    def _members(self, *, nested: bool = False) -> Iterator[_Member]:
        """The members of the list or object that begins here; with `nested`, also the members of their values."""
        opening = self._peek()
        self._expect(opening)
        names: set[str] = set()
        is_first = True
        while self._peek() != _CLOSING[opening]:
            if not is_first:
                self._expect(",")
            is_first = False
            name = self._name(names) if opening == "{" else ""
            first, line = self._peek(), self._line
            if nested and first in _CLOSING:
                members = list(self._members())
                value: Json = (
                    [member.value for member in members]
                    if first == "["
                    else {member.name: member.value for member in members}
                )
                yield _Member(name, line, value, members)
            else:
                yield _Member(name, line, self._value())
        self._expect(_CLOSING[opening])

    def _name(self, names: set[str]) -> str:
        """Read a member's name and its colon; adds the name to those of its object."""
        if self._peek() != '"':
            raise self._unexpected("a name in quotes")
        line = self._line
        name = str(self._value())
        if name in names:
            raise InputError(
                f"the key {shorten(name)} stands twice in one object",
                where=f"{self.shown}:{line}",
                found=f"a second {shorten(name)}",
                expected="every key once",
                fix="keep one of them: readers differ in which one they would take",
            )
        names.add(name)
        self._expect(":")
        return name

    def _value(self) -> Json:
        self._peek()
        while True:
            scanned = scan(
                self._text,
                self._position,
                where=self.shown,
                line=self._line,
                whole=self._at_end,
                nan=True,
            )
            if scanned is not None:
                self._advance(scanned[1])
                return scanned[0]
            if len(self._text) - self._position > MAX_LINE_BYTES:
                raise too_long_error(f"{self.shown}:{self._line}")
            self._fill(len(self._text) - self._position)

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._unexpected(sign)
        self._advance(self._position + 1)

    def _peek(self) -> str:
        """The next character that is not whitespace, without consuming it; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._position)
            assert match is not None
            self._advance(match.end())
            if self._position < len(self._text):
                return self._text[self._position]
            if self._at_end:
                return ""
            self._fill(0)

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._position, end)
        self._position = end

    def _fill(self, minimum: int) -> None:
        """Read at least `minimum` more characters: doubling the text bounds how often a long value is scanned again.

        The begun line stays whole, because errors count columns from its start.
        """
        line_start = self._text.rfind("\n", 0, self._position) + 1
        parts = [self._text[line_start:]]
        self._position -= line_start
        added = 0
        for text in self._chunks:
            parts.append(text)
            added += len(text)
            if added > minimum:
                break
        else:
            self._at_end = True
        self._text = "".join(parts)

    def _decoded_chunks(self) -> Iterator[str]:
        """The file's text, some lines at a time."""
        for piece in self.lines.pieces():
            try:
                text = piece.raw.decode("utf-8")
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:
                raise next(line for line in piece.lines() if isinstance(line, InputError))
            yield text

    def _unexpected(self, expected: str) -> InputError:
        found = self._text[self._position : self._position + 30]
        return InputError(
            "not valid JSON" if found else "the file is cut off",
            where=f"{self.shown}:{self._line}",
            found=shorten(found) if found else "the end of the file",
            expected=expected,
            fix="correct the place; a JSON writer such as Python's json.dump makes no such mistake"
            if found
            else "the file was not written to its end: write or fetch it again",
        )


def _refuse_table_by_columns(fields: dict[str, Json], where: str) -> None:
    """Raise if an object is a table by columns, as pandas' `to_dict` writes it; it would be read as a single row."""
    values = list(fields.values())
    if len(values) < 2:
        return
    lists = [len(value) for value in values if isinstance(value, list)]
    keys = [value.keys() for value in values if isinstance(value, dict)]
    by_list = len(lists) == len(values) and len(set(lists)) == 1 and lists[0] > 1
    by_key = len(keys) == len(values) and all(names == keys[0] for names in keys) and len(keys[0]) > 1
    if by_list or by_key:
        raise InputError(
            "the file is a table by columns, not by rows",
            where=where,
            found=", ".join(
                f"{name}: {json_kind(value)} of {len(value)}"
                for name, value in fields.items()
                if isinstance(value, list | dict)
            ),
            expected="a list of rows",
            fix="write rows; with pandas: frame.to_json(FILE, orient='records', lines=True)",
        )


def _holds_rows(member: _Member) -> bool:
    objects = [isinstance(inner.value, dict) for inner in member.members]
    return any(objects) if member.name in ROW_LIST_NAMES else bool(objects) and all(objects)


def _row(member: _Member, origin: Origin, shared: dict[str, Json]) -> RawRow | InputError:
    where = str(origin)
    if not isinstance(member.value, dict):
        return InputError(
            f"the row is {json_kind(member.value)}, not an object",
            where=where,
            found=shorten(str(member.value), 40),
            expected='one object a row, such as {"prompt": "...", "completion": "..."}',
            fix="write every row as an object",
        )
    row = row_of(member.value, origin.line, where)
    if isinstance(row, InputError):
        return row
    fields = {**shared, **row.fields}
    if split_name(shared.get(SPLIT_COLUMN)) is not None:
        fields[SPLIT_COLUMN] = shared[SPLIT_COLUMN]
    return row._replace(fields=fields, item=origin.item)
