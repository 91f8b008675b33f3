"""Whether a path is a file that can be read to its end: no FIFO, no device, and of bounded size."""

from __future__ import annotations

import stat
from pathlib import Path

from tutelage.core.errors import InputError


def check_file(path: Path, limit: int | None = None) -> None:
    """Refuse what is no regular file, such as a FIFO, on which reading would wait forever, or is too large.

    Args:
        path: it exists, or is a link to nothing.
        limit: bytes that it may have; None for no limit.

    Raises:
        InputError: with what the path is instead.
    """
    fix = "put the file itself there, or remove what stands there: fetch or save the model again"
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            "the file cannot be read",
            where=str(path),
            found="a link to nothing" if path.is_symlink() else error.strerror or str(error),
            expected="a file",
            fix=fix,
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kinds = {
            stat.S_IFIFO: "a FIFO",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
            stat.S_IFSOCK: "a socket",
            stat.S_IFDIR: "a folder",
        }
        raise InputError(
            "this is no file that can be read",
            where=str(path),
            found=kinds.get(stat.S_IFMT(status.st_mode), "something else"),
            expected="a file",
            fix=fix,
        )
    if limit is not None and status.st_size > limit:
        raise InputError(
            "the file is too large for what it is",
            where=str(path),
            found=f"{status.st_size:,} bytes",
            expected=f"at most {limit:,}",
            fix="fetch or save the model again",
        )
