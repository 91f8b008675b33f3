r"""A file as physical lines: decoded strictly, bounded, hashed as it is read.

Only \n and \r\n end a line. U+2028, U+0085 and the like are ordinary characters: `str.splitlines` would split
inside JSON strings (datasets #3910 is one of several such bugs).
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from tutelage.core.errors import InputError, MachineError, nearest
from tutelage.core.limits import MAX_LINE_BYTES

_BOM = b"\xef\xbb\xbf"
_OTHER_MARKS = {
    b"\xff\xfe": "UTF-16 (little endian)",
    b"\xfe\xff": "UTF-16 (big endian)",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PAR1": "Parquet",
}
_FIX_ENCODING = "save the file as UTF-8, for example: iconv -f {} -t UTF-8 FILE > NEW"


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line without its end; `ended` says whether a line end followed."""

    number: int
    text: str
    ended: bool


class Lines:
    """The lines of one file, read once from first to last.

    Iterating yields a `Line`, or an `InputError` for a line that cannot be read; what makes the rest unreadable (no
    such file, a line beyond the limit) is raised. A name that ends in .gz is unpacked while it is read. After the last
    line `sha256` is the hash of the bytes read, unpacked.

    Args:
        path: the file.
        shown: its name in errors.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self.path = path
        self.shown = shown
        self.notes: list[str] = []
        self.sha256 = ""

    def __iter__(self) -> Iterator[Line | InputError]:
        require_file(self.path, self.shown)
        try:
            with _opened(self.path) as file:
                yield from self._read(file)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                "the gzip file is damaged or cut off",
                where=self.shown,
                found=str(error),
                expected="a whole gzip file",
                fix="make or fetch it again; `gzip -t FILE` checks one",
            ) from None
        except PermissionError:
            raise InputError(
                "the data file may not be read",
                where=self.shown,
                found="no permission",
                fix="give yourself the right to read it (chmod u+r)",
            ) from None
        except OSError as error:
            raise MachineError(
                "the data file could not be read",
                where=self.shown,
                found=error.strerror or str(error),
                fix="check the disk, then run the same command again",
            ) from error

    def _read(self, file: BinaryIO) -> Iterator[Line | InputError]:
        digest = hashlib.sha256()
        number = offset = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            digest.update(raw)
            if len(raw) > MAX_LINE_BYTES:
                raise too_long(f"{self.shown}:{number}")
            start = offset
            offset += len(raw)
            if number == 1:
                refuse_foreign(raw, self.shown)
                if raw.startswith(_BOM):
                    self.notes.append("the file starts with a byte order mark, which was skipped")
                    raw = raw[len(_BOM) :]
                    start += len(_BOM)
            yield _decode(raw, f"{self.shown}:{number}", number, start)
        if offset == 0:
            raise empty(self.shown, "0 bytes")
        self.sha256 = digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked if its name says that it is gzip."""
    with path.open("rb") as file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast("BinaryIO", unpacked)


def _decode(raw: bytes, where: str, number: int, start: int) -> Line | InputError:
    ended = raw.endswith(b"\n")
    body = raw.removesuffix(b"\n").removesuffix(b"\r") if ended else raw
    if b"\0" in body:
        at = body.index(b"\0")
        return InputError(
            "a NUL byte stands in the line",
            where=where,
            found=f"0x00 at byte {at + 1} of the line (byte {start + at + 1} of the file)",
            expected="text",
            fix="the file is binary, UTF-16 or damaged: write it again as UTF-8 text",
        )
    try:
        return Line(number, body.decode("utf-8"), ended)
    except UnicodeDecodeError as error:
        at = error.start
        return InputError(
            "the line is not UTF-8",
            where=where,
            found=f"0x{body[at]:02x} at byte {at + 1} of the line (byte {start + at + 1} of the file): {error.reason}",
            expected="UTF-8",
            fix=_FIX_ENCODING.format("WINDOWS-1252"),
        )


def require_file(path: Path, shown: str) -> None:
    """Raise unless `path` is a plain file."""
    if path.is_file():
        return
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir() if entry.is_file())[:5]
        raise InputError(
            "the data file is a folder",
            where=shown,
            found=f"a folder with {', '.join(inside)}" if inside else "a folder without files",
            expected="one file",
            fix=f"name a file in it, such as {inside[0]}" if inside else "name a data file",
        )
    if path.exists():
        raise InputError(
            "the data file is not a plain file",
            where=shown,
            found="a pipe, socket or device",
            fix="name a file",
        )
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, beside)
    raise InputError(
        "the data file is not there",
        where=shown,
        found="no such file" if path.parent.is_dir() else f"no such folder: {path.parent}",
        fix=f"did you mean {close}?"
        if close
        else "check the name; a path is relative to the recipe's folder",
    )


def refuse_foreign(head: bytes, shown: str) -> None:
    """Raise when a file's first bytes say that it is not plain UTF-8 text."""
    for mark, name in _OTHER_MARKS.items():
        if head.startswith(mark):
            encoding = name.startswith("UTF-16")
            raise InputError(
                f"the file is {name}",
                where=f"{shown}:1",
                found="bytes " + head[:4].hex(" "),
                expected="UTF-8 text",
                fix=_FIX_ENCODING.format("UTF-16")
                if encoding
                else "unpack or convert it to JSONL or CSV first",
            )


def empty(shown: str, found: str) -> InputError:
    """The error for a file without rows."""
    return InputError(
        "the data file is empty",
        where=shown,
        found=found,
        expected="at least one row",
        fix="check what wrote it, or name another file",
    )


def too_long(where: str) -> InputError:
    """The error for a line, or a CSV row, beyond the limit."""
    return InputError(
        "the line is too long",
        where=where,
        found=f"more than {MAX_LINE_BYTES:,} bytes without an end",
        expected=f"at most {MAX_LINE_BYTES:,} bytes",
        fix="a data file has one row a line: write a JSON array as JSONL, and check for an unclosed quote",
    )
