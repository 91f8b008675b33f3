"""Atomic files and folders: written beside their place, synced, then renamed, so that they are whole or absent.

Not covered: a disk that lies about fsync, and network file systems whose rename is not atomic.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tutelage.core.errors import MachineError

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<kind>part|old)")
"""The names of unfinished files and folders of `write_bytes` and `new_folder`; a user's `.zshrc.old` does not match."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, and make its parent folders. Raises MachineError when the disk is full or fails."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
        sync(part)
        part.replace(path)
        sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise disk_error(path, error) from error


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 file atomically."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Write a folder atomically: it appears, or replaces an earlier one, when the block ends without an error.

    Yields a scratch folder beside `path`. On any error the scratch folder is removed and `path` is as before. Whether `path` may be
    replaced is for the caller to check: `outputs.Folder` is for folders that the user names.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        _restore(path)
        part.mkdir(parents=True)
        yield part
        readable = 0o666 & ~_umask()
        for entry in (*part.rglob("*"), part):
            if entry.is_file():
                entry.chmod(readable)  # safetensors writes files that only their owner may read
            sync(entry)
        if not path.exists():
            part.rename(path)
        elif not _exchange(part, path):
            _replace(part, path)
        sync(path.parent)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _exchange(part: Path, path: Path) -> bool:
    """Swap two folders in one step, so that `path` is never missing; False where the system cannot.

    Afterwards `part` is the folder that was at `path`. renameat2 is Linux's, in glibc since 2.28; not every file system has it.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(function(here, os.fsencode(part), here, os.fsencode(path), swap) == 0)


def _replace(part: Path, path: Path) -> None:
    """Put `part` in the place of `path` in two steps; if killed between them, `_restore` brings the old folder back."""
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    path.rename(old)
    try:
        part.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _restore(path: Path) -> None:
    """Rename a folder that `_replace` set aside back, if its successor did not come."""
    if path.exists() or not path.parent.is_dir():
        return
    for entry in sorted(path.parent.iterdir()):
        match = _LEFTOVER.fullmatch(entry.name)
        if match is not None and match["name"] == path.name and match["kind"] == "old":
            entry.rename(path)
            return


def _umask() -> int:
    """The process's mask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_parts(folder: Path) -> None:
    """Remove unfinished files and folders of a killed process. Only for folders that this process has locked.

    A folder that was set aside to be replaced, and whose successor did not come, is renamed back.
    """
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        match = _LEFTOVER.fullmatch(entry.name)
        if match is None:
            continue
        if match["kind"] == "old" and not (folder / match["name"]).exists():
            entry.rename(folder / match["name"])
        elif entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def require_space(folder: Path, needed: int, *, subject: str) -> None:
    """Raise MachineError when the disk under `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(existing_parent(folder / "entry")).free
    if free < needed:
        raise MachineError(
            f"not enough room on the disk for {subject}",
            where=str(folder),
            found=f"{free:,} bytes free",
            expected=f"{needed:,} bytes",
            fix="free some space, or name another place with --out",
        )


def disk_error(path: Path, error: OSError) -> MachineError:
    """The error for a write that the operating system refused."""
    if error.errno == errno.ENOSPC:
        return MachineError(
            "the disk is full",
            where=str(path),
            found=f"{shutil.disk_usage(existing_parent(path)).free:,} bytes free",
            fix="free some space and run the same command again: what was finished is kept",
        )
    if error.errno == errno.EISDIR:
        return MachineError(
            "a folder is in the place of the file",
            where=str(path),
            fix="move the folder away, then run the same command again",
        )
    return MachineError(
        "the file could not be written",
        where=str(path),
        found=error.strerror or str(error),
        fix="check that the folder exists and may be written to, then run the same command again",
    )


def existing_parent(path: Path) -> Path:
    """The nearest folder above `path` that exists."""
    return next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
