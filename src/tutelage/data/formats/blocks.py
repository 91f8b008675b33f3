"""Reads a file in blocks of bytes: decompressed within bounds, hashed, and checked for changes while it is read."""

from __future__ import annotations

import gzip
import hashlib
import os
import shlex
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tutelage.core import regular
from tutelage.core.errors import InputError
from tutelage.core.limits import FREE_UNPACKED_BYTES, MAX_UNPACK_RATIO, MAX_UNPACKED_BYTES

COMPRESSED = (".gz", ".zst")
BLOCK_SIZE = 1 << 20
_MAGIC_BYTES = {
    b"\xff\xfe\0\0": "UTF-32 (little endian)",
    b"\0\0\xfe\xff": "UTF-32 (big endian)",
    b"\xff\xfe": "UTF-16 (little endian)",
    b"\xfe\xff": "UTF-16 (big endian)",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
}
_EXTENSION_OF = {"gzip": ".gz", "zstandard": ".zst", "Parquet": ".parquet", "Arrow": ".arrow"}
WHAT = "the data file"
FIX_PATH = "check the name; in a recipe, a path is relative to the recipe's folder"


class Blocks:
    """The bytes of one file, read once.

    Iterating yields blocks of at most `size` bytes. Files whose names end in .gz or .zst are decompressed. After the last block
    `sha256` is the hash of the decompressed bytes. Parsers add to `notes` what is unusual but harmless in them. The file must start
    like text unless `binary` is set.

    Args:
        path: the file.
        shown: its name in errors.
        size: of a block.
        binary: whether the file may start with bytes that are not text.
    """

    def __init__(self, path: Path, shown: str, *, size: int = BLOCK_SIZE, binary: bool = False) -> None:
        self.path = path
        self.shown = shown
        self.sha256 = ""
        self.notes: list[str] = []
        self._size = size
        self._binary = binary
        self._line = 1

    def __iter__(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        unpacked = 0
        with open_data_file(self.path, self.shown) as file:
            status = os.fstat(file.fileno())
            source = _decompressing(self.path, file)
            while block := self._read_block(source):
                if not unpacked and not self._binary:
                    require_text(block, self.shown)
                digest.update(block)
                unpacked += len(block)
                if source is not file:
                    self._check_unpacked_size(unpacked, file.tell())
                self._line += block.count(b"\n")
                yield block
            status_at_end = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) != (status_at_end.st_size, status_at_end.st_mtime_ns):
                raise _changed_error(f"{self.shown}:{self._line}", status.st_size, status_at_end.st_size)
        if not unpacked:
            raise empty_file_error(self.shown, "0 bytes")
        self.sha256 = digest.hexdigest()

    def _read_block(self, source: Any) -> bytes:
        try:
            return bytes(source.read(self._size))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self._damaged_error("gzip", str(error)) from None
        except OSError as error:
            if error.errno is not None or self.path.suffix.lower() != ".zst":
                raise
            raise self._damaged_error("zstd", str(error)) from None

    def _damaged_error(self, program: str, found: str) -> InputError:
        return InputError(
            f"the {program} file is damaged or cut off",
            where=f"{self.shown}:{self._line}",
            found=found,
            expected=f"a whole {program} file",
            fix=f"make or fetch it again; `{program} -t FILE` checks one",
        )

    def _check_unpacked_size(self, unpacked: int, compressed: int) -> None:
        ratio = unpacked / max(compressed, 1)
        if unpacked > FREE_UNPACKED_BYTES and (ratio > MAX_UNPACK_RATIO or unpacked > MAX_UNPACKED_BYTES):
            raise InputError(
                "the file unpacks to far more than data does",
                where=f"{self.shown}:{self._line}",
                found=f"{unpacked:,} bytes so far out of {compressed:,} packed ones ({ratio:,.0f} times)",
                expected=f"at most {MAX_UNPACK_RATIO} times, and {MAX_UNPACKED_BYTES:,} bytes",
                fix="unpack it yourself when it is what you think it is, and name the unpacked file",
            )


def _decompressing(path: Path, file: BinaryIO) -> Any:
    """A file object that reads decompressed bytes."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    if suffix == ".zst":
        import pyarrow as pa

        # Arrow's reader decompresses in bounded pieces and raises if the last frame is truncated.
        return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    return file


@contextmanager
def open_data_file(path: Path, shown: str) -> Iterator[BinaryIO]:
    """Open a data file for reading bytes; errors of the system become InputErrors."""
    with regular.open_regular(path, subject=WHAT, shown=shown, fix=FIX_PATH) as file:
        try:
            yield file
        except OSError as error:
            raise regular.unreadable(path, error, subject=WHAT, shown=shown) from error


def is_compressed(path: Path) -> bool:
    """Whether the file's name ends in .gz or .zst."""
    return path.suffix.lower() in COMPRESSED


def extension(path: Path) -> str:
    """The ending that names the format, in lower case: `.jsonl` for rows.jsonl.gz; "" if there is none."""
    return (path.with_suffix("") if is_compressed(path) else path).suffix.lower()


def require_data_file(path: Path, shown: str) -> None:
    """Raise InputError unless `path` is a regular file."""
    regular.require_regular(path, subject=WHAT, shown=shown, fix=FIX_PATH)


def require_text(head: bytes, shown: str) -> None:
    """Raise InputError if a file's first bytes show that it is not UTF-8 text."""
    for mark, name in _MAGIC_BYTES.items():
        if head.startswith(mark):
            raise InputError(
                f"the file is {name}",
                where=f"{shown}:1",
                found="bytes " + head[:4].hex(" "),
                expected="UTF-8 text",
                fix=recode(shown, name[:6])
                if name.startswith("UTF-")
                else f"let its name end in {_EXTENSION_OF[name]}"
                if name in _EXTENSION_OF
                else "unpack it; a spreadsheet is such a file too: save its table as CSV (CSV UTF-8)",
            )


def recode(shown: str, encoding: str) -> str:
    """The advice to write a file again as UTF-8, with the command for this very file."""
    path = Path(shown)
    if path.suffix.lower() in COMPRESSED:
        program = "gzip" if path.suffix.lower() == ".gz" else "zstd"
        target = path.with_suffix("").with_stem(path.with_suffix("").stem + "-utf8")
        return f"save it as UTF-8: {program} -dc {shlex.quote(shown)} | iconv -f {encoding} -t UTF-8 > {shlex.quote(str(target))}"
    target = path.with_stem(path.stem + "-utf8")
    return f"save it as UTF-8: iconv -f {encoding} -t UTF-8 {shlex.quote(shown)} > {shlex.quote(str(target))}"


def empty_file_error(shown: str, found: str) -> InputError:
    """The error for a file without rows."""
    return InputError(
        "the data file is empty",
        where=shown,
        found=found,
        expected="at least one row",
        fix="check what wrote it, or name another file",
    )


def _changed_error(where: str, size: int, size_at_end: int) -> InputError:
    return InputError(
        "the file changed while it was read",
        where=where,
        found=f"{size:,} bytes at the start and {size_at_end:,} at the end",
        expected="a file that nothing writes to",
        fix="wait until it is written, or read a copy of it",
    )
