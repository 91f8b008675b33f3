r"""Reads a file as physical lines of bounded length, strictly decoded.

Only \n and \r\n end a line. U+2028, U+0085 and the like are ordinary characters: `str.splitlines` would split
inside JSON strings (datasets #3910 is one of several such bugs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_LINE_BYTES
from tutelage.data.formats.blocks import BLOCK_SIZE, Blocks, recode

BOM = b"\xef\xbb\xbf"
BOM_NOTE = "the file starts with a byte order mark, which was skipped"


_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_MOST_TOGETHER = 3
"""Bytes beyond ASCII in a row, in a text of Western letters."""


class Line(NamedTuple):
    """One physical line without its line end; `ended` says whether there was one."""

    number: int
    text: str
    ended: bool


@dataclass(frozen=True, slots=True)
class LineBlock:
    r"""Whole lines of a file as bytes; each ends in \n, except the last line of a file without a final \n.

    Attributes:
        raw: the lines with their ends.
        number: of the line before the first one.
        start: the byte of the file at which the first one begins.
        shown: the file's name in errors.
    """

    raw: bytes
    number: int
    start: int
    shown: str

    def lines(self) -> Iterator[Line | InputError]:
        """The lines, each decoded, or an error for a line that is not UTF-8 text."""
        start = self.start
        for number, raw in enumerate(BytesIO(self.raw), self.number + 1):
            yield _decode_line(raw, f"{self.shown}:{number}", number, start)
            start += len(raw)


class Lines:
    """The lines of one file, read once from first to last.

    Iterating yields a `Line`, or an `InputError` for a line that cannot be read; errors that make the rest unreadable (no such
    file, a line beyond the limit) are raised. `pieces` yields blocks of many lines as bytes. After the last line `blocks` has the
    file's hash and notes.

    Args:
        path: the file.
        shown: its name in errors.
    """

    def __init__(self, path: Path, shown: str) -> None:
        # With blocks of the limit's size only the first line that ends in a block can pass the limit.
        self.blocks = Blocks(path, shown, size=min(BLOCK_SIZE, MAX_LINE_BYTES + 1))

    def __iter__(self) -> Iterator[Line | InputError]:
        for piece in self.pieces():
            yield from piece.lines()

    def pieces(self) -> Iterator[LineBlock]:
        """Blocks of whole lines, without the file's byte order mark. Raises InputError for a line beyond the limit."""
        line_count, start_byte, shown = 0, 0, self.blocks.shown
        pending: list[bytes] = []  # the begun line, empty before the first block only
        for raw_block in self.blocks:
            block = raw_block
            if not pending and block.startswith(BOM):
                self.blocks.notes.append(BOM_NOTE)
                block, start_byte = block[len(BOM) :], len(BOM)
            line_end = block.rfind(b"\n") + 1
            if line_end:
                raw = b"".join([*pending, block[:line_end]])
                if raw.find(b"\n") >= MAX_LINE_BYTES:
                    raise too_long_error(f"{shown}:{line_count + 1}")
                yield LineBlock(raw, line_count, start_byte, shown)
                line_count += raw.count(b"\n")
                start_byte += len(raw)
                pending = []
            pending.append(block[line_end:])
            if sum(map(len, pending)) > MAX_LINE_BYTES:
                raise too_long_error(f"{shown}:{line_count + 1}")
        if remainder := b"".join(pending):
            yield LineBlock(remainder, line_count, start_byte, shown)


def _decode_line(raw: bytes, where: str, number: int, start: int) -> Line | InputError:
    """Decode a line that begins at byte `start` of the file."""
    ended = raw.endswith(b"\n")
    body = raw.removesuffix(b"\n").removesuffix(b"\r") if ended else raw
    if b"\0" in body:
        offset = body.index(b"\0")
        return InputError(
            "a NUL byte stands in the line",
            where=where,
            found=f"0x00 at byte {offset + 1} of the line (byte {start + offset + 1} of the file)",
            expected="text",
            fix="the file is binary, UTF-16 or damaged: write it again as UTF-8 text",
        )
    try:
        return Line(number, body.decode("utf-8"), ended)
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1} of the line (byte {start + error.start + 1} of the file)"
        return InputError(
            "the line is not UTF-8",
            where=where,
            found=f"0x{body[error.start]:02x} at {place}: {error.reason}",
            expected="UTF-8",
            fix=_fix_encoding(body, where.rpartition(":")[0]),
        )


def _fix_encoding(body: bytes, shown: str) -> str:
    """The advice for a line in another encoding, by its bytes: letters with marks stand alone in Western texts, others in runs."""
    if max(map(len, _HIGH_BYTES.findall(body)), default=0) > _MOST_TOGETHER:
        return f"{recode(shown, 'ENCODING')}  with the encoding of its program for ENCODING, such as GB18030, SHIFT_JIS or WINDOWS-1251"
    try:
        body.decode("cp1252")
    except UnicodeDecodeError:
        return recode(shown, "ISO-8859-1")
    return recode(shown, "WINDOWS-1252")


def too_long_error(where: str) -> InputError:
    """The error for a line, or a CSV row, beyond the limit."""
    return InputError(
        "the line is too long",
        where=where,
        found=f"more than {MAX_LINE_BYTES:,} bytes without an end",
        expected=f"at most {MAX_LINE_BYTES:,} bytes",
        fix="a data file has one row a line: write a JSON array as JSONL, and check for an unclosed quote",
    )
