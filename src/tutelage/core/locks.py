"""Locks between processes: a lock file that names its holder.

The lock is the kernel's (`flock`), so it ends with the process that holds it, however that dies; the file's text is only for
people. The file is never removed: two processes could then lock two files of the same name.

Not covered: network file systems without `flock`, and children made by a bare `os.fork`, which share
the lock of their parent.
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tutelage.core.errors import MachineError
from tutelage.core.files import disk_error

POLL = 0.2


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: the process, its command, and since when (UTC, ISO 8601)."""

    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} since {self.since}: {self.command}"


@contextmanager
def locked(
    path: Path, *, subject: str, wait: float = 0.0, on_wait: Callable[[Holder | None], None] | None = None
) -> Iterator[None]:
    """Hold the lock file `path` while the block runs.

    Args:
        path: the lock file; it and its folder are made when they are not there.
        subject: what is locked, for the error.
        wait: how many seconds to wait for another process.
        on_wait: called once, with the holder, when the lock is not free.

    Raises:
        MachineError: another process holds it (the error names it), or the file system cannot lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise disk_error(path, error) from error
    try:
        _acquire(handle, path, subject=subject, wait=wait, on_wait=on_wait)
        _sign(handle)
        yield
    finally:
        os.close(handle)


def holder(path: Path) -> Holder | None:
    """Who last signed the lock file, or None when nobody did. Whether it is still held only `locked` can tell."""
    try:
        value = json.loads(path.read_bytes())
        return Holder(int(value["pid"]), str(value["command"]), str(value["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file now; False where there is none, or where the file system cannot lock.

    It takes a shared lock for a moment: a process that wants the lock in that very moment is refused it.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    else:
        return False
    finally:
        os.close(handle)


def _acquire(
    handle: int, path: Path, *, subject: str, wait: float, on_wait: Callable[[Holder | None], None] | None
) -> None:
    deadline = time.monotonic() + wait
    reported = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise MachineError(
                    "the file system cannot lock a file",
                    where=str(path),
                    found=error.strerror or str(error),
                    expected="a file system with flock",
                    fix="name a folder on a local disk",
                ) from error
        else:
            return
        if time.monotonic() >= deadline:
            owner = holder(path)
            raise MachineError(
                f"another process is using {subject}",
                where=str(path),
                found=str(owner) if owner else "a process that did not say its name",
                fix="wait until it has ended, or stop it, then run the same command again",
            )
        if not reported and on_wait is not None:
            on_wait(holder(path))
            reported = True
        time.sleep(POLL)


def _sign(handle: int) -> None:
    since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "command": shlex.join(sys.argv), "since": since})
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode("utf-8", "surrogatepass"), 0)
