"""A folder's manifest: size and sha256 of every file as it was written, and what differs from it now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tutelage.core import hashing
from tutelage.core.errors import InputError, raise_all

Files = dict[str, dict[str, Any]]
"""By path below the folder, with forward slashes: `size` in bytes and `sha256` in hex."""

SHOWN = 12
"""Characters of a hash in an error: enough to tell two apart."""
_NOT_READ = (".md", ".png", ".jpg", ".svg")
_SETTLED_NS = 100_000_000
"""Age from which a changed file has another ctime: kernels count file times in ticks of up to 10 ms."""
_hashes: dict[tuple[object, ...], str] = {}


def sha256(path: Path) -> str:
    """The sha256 of a file; the same unchanged file is read once in a process.

    Unchanged means the same inode, size, mtime and ctime. A file younger than 0.1 s is always read: a change within one
    tick of the kernel's clock would leave its times alone.
    """
    state = file_state(path)
    if state not in _hashes:
        settled = is_settled(path)
        digest = hashing.of_file(path)
        if not settled:
            return digest
        _hashes[state] = digest
    return _hashes[state]


def file_state(path: Path) -> tuple[object, ...]:
    """What changes with a file's content: place, size, times, inode."""
    stat = path.stat()
    return (str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def is_settled(path: Path) -> bool:
    """Whether the next change of the file is certain to change its ctime."""
    return time.time_ns() - path.stat().st_ctime_ns > _SETTLED_NS


def describe(folder: Path) -> Files:
    """The manifest of all files below a folder, as they are now."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def require(folder: Path, files: Mapping[str, Mapping[str, Any]], *, what: str, fix: str) -> None:
    """Check a folder against its manifest.

    Args:
        folder: the folder.
        files: its manifest.
        what: what the folder is, for the error: "the tuned model".
        fix: what a person can do.

    Raises:
        InputError: a file is missing, differs, or was added and would be read; InputErrors for several.
    """
    raise_all(f"{folder}: {what} is not as it was written", list(_differences(folder, files, what, fix)))


def _differences(
    folder: Path, files: Mapping[str, Mapping[str, Any]], what: str, fix: str
) -> Iterator[InputError]:
    for name, written in files.items():
        difference = _difference(folder / name, written)
        if difference is not None:
            yield InputError(
                f"the file is not as it was written with {what}",
                where=str(folder / name),
                found=difference[0],
                expected=difference[1],
                fix=fix,
            )
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if name not in files and not path.is_dir() and _could_be_read(path):
            yield InputError(
                f"the file was not written with {what}, and could change what is loaded",
                where=str(path),
                found=f"{name}, which no manifest names",
                expected=", ".join(sorted(files)[:8]),
                fix=f"move {path} elsewhere",
            )


def _difference(path: Path, written: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is found and what was written; None where they are the same. What is no regular file is not opened."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no regular file" if path.exists() else "no such file"
        return found, f"a file of {written['size']:,} bytes"
    try:
        size = path.stat().st_size
        if size != written["size"]:
            return f"{size:,} bytes", f"{written['size']:,} bytes"
        digest = sha256(path)
    except OSError as error:
        return error.strerror or str(error), "a file that can be read"
    if digest != written["sha256"]:
        return f"sha256 {digest[:SHOWN]}…", f"sha256 {written['sha256'][:SHOWN]}…"
    return None


def _could_be_read(path: Path) -> bool:
    """Whether a loader of models might read a file: all but hidden files, texts and pictures for people."""
    return not (
        path.name.startswith(".") or path.suffix.lower() in _NOT_READ or path.stem.upper() == "LICENSE"
    )
