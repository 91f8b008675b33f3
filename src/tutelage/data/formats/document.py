"""A JSON file that is one value over many lines: a list of rows, or an object that holds one.

A list is read item by item in bounded memory. An object is held as a whole, because what stands behind its rows belongs
to each of them too.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_LINE_BYTES
from tutelage.core.nouns import Json, Origin
from tutelage.core.strictjson import kind, scan, shorten, strings
from tutelage.data.formats.blocks import Blocks
from tutelage.data.formats.jsonl import Row
from tutelage.data.formats.lines import BOM_NOTE, not_utf8, nul, too_long

ROWS = ("Instances", "instances", "examples", "data", "rows", "train")
"""Names under which an object may hold its rows, the first one that is there."""
_SPACE = re.compile(r"[ \t\r\n]*")


class _Member(NamedTuple):
    """A value inside a list or an object, the line it starts on, and its name."""

    name: str
    line: int
    value: Json


class Document:
    """One JSON value, read once; `rows` gives its rows, `sha256` and `notes` say what was read."""

    def __init__(self, path: Path, shown: str) -> None:
        self.shown = shown
        self.notes: list[str] = []
        self._blocks = Blocks(path, shown)
        self._source = self._texts()
        self._text = ""
        self._at = 0
        self._line = 1
        self._whole = False

    @property
    def sha256(self) -> str:
        """The hash of the bytes read."""
        return self._blocks.sha256

    def rows(self) -> Iterator[Row | InputError]:
        """The rows with the physical line on which each starts."""
        first = self._peek()
        if first == "[":
            yield from self._rows(self._list(), {})
        elif first == "{":
            yield from self._of_object()
        elif first:
            raise InputError(
                "the file holds no rows",
                where=f"{self.shown}:{self._line}",
                found=shorten(self._text[self._at : self._at + 40]),
                expected="a list of objects, or an object that holds one",
                fix="write one object a row",
            )
        if first and self._peek():
            raise self._unexpected("the end of the file")

    def _of_object(self) -> Iterator[Row | InputError]:
        line = self._line
        inside = list(self._object(lists=True))
        held = {name: members for name, members, _ in inside if _hold_rows(name, members)}
        chosen = next((name for name in ROWS if name in held), None)
        if chosen is None and len(held) > 1:
            raise InputError(
                "the file holds several lists of rows",
                where=f"{self.shown}:{line}",
                found=", ".join(held),
                expected="one of " + ", ".join(ROWS),
                fix="keep one of them in the file, as a plain JSON list",
            )
        chosen = chosen or next(iter(held), None)
        shared = {name: value for name, _, value in inside if name != chosen}
        if chosen is None:
            _refuse_columns(shared, f"{self.shown}:{line}")
            yield from self._rows([_Member("", line, shared)], {})
            return
        yield from self._rows(held[chosen], shared)

    def _rows(self, members: Iterable[_Member], shared: dict[str, Json]) -> Iterator[Row | InputError]:
        line = item = 0
        for member in members:
            item = 0 if member.line != line else max(2, item + 1)
            line = member.line
            yield _row(member, Origin(self.shown, line, item=item), shared)

    def _object(self, *, lists: bool) -> Iterator[tuple[str, list[_Member], Json]]:
        """An object's members: name, what is inside the value when that is asked for, and the value."""
        seen: set[str] = set()
        self._take("{")
        while self._peek() != "}":
            if seen:
                self._take(",")
            if self._peek() != '"':
                raise self._unexpected("a name in quotes")
            line = self._line
            name = str(self._value())
            if name in seen:
                raise InputError(
                    f"the key {shorten(name)} stands twice in one object",
                    where=f"{self.shown}:{line}",
                    found=f"a second {shorten(name)}",
                    expected="every key once",
                    fix="keep one of them: readers differ in which one they would take",
                )
            seen.add(name)
            self._take(":")
            members: list[_Member] = []
            first, line = self._peek(), self._line
            value: Json
            if lists and first == "[":
                members = list(self._list())
                value = [member.value for member in members]
            elif lists and first == "{":
                members = [member for _, found, _ in self._object(lists=False) for member in found]
                value = {member.name: member.value for member in members}
            else:
                value = self._value()
            yield name, members if lists else [_Member(name, line, value)], value
        self._take("}")

    def _list(self) -> Iterator[_Member]:
        self._take("[")
        first = True
        while self._peek() != "]":
            if not first:
                self._take(",")
                self._peek()
            first = False
            line = self._line
            yield _Member("", line, self._value())
        self._take("]")

    def _value(self) -> Json:
        self._peek()
        while True:
            found = scan(self._text, self._at, where=self.shown, line=self._line, whole=self._whole)
            if found is not None:
                self._pass(found[1])
                return found[0]
            if len(self._text) - self._at > MAX_LINE_BYTES:
                raise too_long(f"{self.shown}:{self._line}")
            self._fill(len(self._text) - self._at)

    def _take(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._unexpected(sign)
        self._pass(self._at + 1)

    def _peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None
            self._pass(match.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if self._whole:
                return ""
            self._fill(0)

    def _pass(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _fill(self, least: int) -> None:
        """Read on: at least as many characters as are waiting, so that a long value is not tried too often."""
        parts = [self._text[self._at :]]
        self._at = 0
        more = 0
        for text in self._source:
            parts.append(text)
            more += len(text)
            if more > least:
                break
        else:
            self._whole = True
        self._text = "".join(parts)

    def _texts(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        line, column, start = 1, 0, 0
        for read in self._blocks:
            waiting = decoder.getstate()[0]
            block = waiting + read
            decoder.reset()
            bad = block.find(b"\0")
            try:
                text = decoder.decode(block)
            except UnicodeDecodeError as error:
                bad, reason = error.start, error.reason
            else:
                reason = ""
            if bad >= 0:
                line += block.count(b"\n", 0, bad)
                begin = block.rfind(b"\n", 0, bad) + 1
                at = bad - begin + (0 if begin else column)
                place = f"{self.shown}:{line}", at, start + bad - at
                raise (not_utf8(place[0], block[bad], *place[1:], reason) if reason else nul(*place))
            done = len(block) - len(decoder.getstate()[0])
            line += text.count("\n")
            last = block.rfind(b"\n", 0, done) + 1
            column = done - last if last else column + done
            start += done
            if start == done and text.startswith("\ufeff"):
                self.notes.append(BOM_NOTE)
                text = text[1:]
            yield text
        if decoder.getstate()[0]:
            rest = decoder.getstate()[0]
            raise not_utf8(f"{self.shown}:{line}", rest[0], column, start - column, "unexpected end of data")

    def _unexpected(self, expected: str) -> InputError:
        found = self._text[self._at : self._at + 30]
        return InputError(
            "not valid JSON" if found else "the file is cut off",
            where=f"{self.shown}:{self._line}",
            found=shorten(found) if found else "the end of the file",
            expected=expected,
            fix="correct the place; a JSON writer such as Python's json.dump makes no such mistake"
            if found
            else "the file was not written to its end: write or fetch it again",
        )


def _refuse_columns(fields: dict[str, Json], where: str) -> None:
    """Raise when an object is a table by columns, as pandas and `to_dict` write it: one row of it would be all rows."""
    values = list(fields.values())
    if len(values) < 2:
        return
    lists = [len(value) for value in values if isinstance(value, list)]
    keys = [value.keys() for value in values if isinstance(value, dict)]
    by_list = len(lists) == len(values) and len(set(lists)) == 1 and lists[0] > 1
    by_key = len(keys) == len(values) and all(one == keys[0] for one in keys) and len(keys[0]) > 1
    if by_list or by_key:
        raise InputError(
            "the file is a table by columns, not by rows",
            where=where,
            found=", ".join(
                f"{name}: {kind(value)} of {len(value)}"
                for name, value in fields.items()
                if isinstance(value, list | dict)
            ),
            expected="a list of rows",
            fix="write rows; with pandas: frame.to_json(FILE, orient='records', lines=True)",
        )


def _hold_rows(name: str, members: list[_Member]) -> bool:
    objects = [isinstance(member.value, dict) for member in members]
    return any(objects) if name in ROWS else bool(objects) and all(objects)


def _row(member: _Member, origin: Origin, shared: dict[str, Json]) -> Row | InputError:
    where = str(origin)
    if not isinstance(member.value, dict):
        return InputError(
            f"the row is {kind(member.value)}, not an object",
            where=where,
            found=shorten(str(member.value), 40),
            expected='one object a row, such as {"prompt": "...", "completion": "..."}',
            fix="write every row as an object",
        )
    if not member.value:
        return InputError("the row has no fields", where=where, found="{}", fix="delete the row, or fill it")
    if any("\0" in text for text in strings(member.value)):
        return InputError(
            "a NUL character stands in the row",
            where=where,
            found="\\u0000",
            expected="text",
            fix="remove it",
        )
    return Row(origin.line, {**shared, **member.value}, origin.item)
