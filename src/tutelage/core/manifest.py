"""The manifest of a folder: size and sha256 of every file as it was written, and how the folder differs from it now.

tuned.json, tutelage.json (`core.outputs`) and the entries of the caches hold manifests.
"""

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
"""Characters of a hash in an error message."""
_IGNORED_SUFFIXES = (".md", ".png", ".jpg", ".svg")
_SETTLED_NS = 100_000_000
"""Once a file is this old, a change is certain to give it another ctime: kernels count file times in ticks of up to 10 ms."""
_hashes: dict[tuple[object, ...], str] = {}


def sha256(path: Path) -> str:
    """Hash a file. An unchanged file is read only once per process.

    Unchanged means the same inode, size, mtime and ctime. A file younger than 0.1 s is always read: a second change within
    one tick of the kernel's clock does not alter its times.
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
    """What changes when a file's content does: size, times, inode; and its path."""
    stat = path.stat()
    return (str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def is_settled(path: Path) -> bool:
    """Whether the next change of the file is certain to alter its ctime."""
    return time.time_ns() - path.stat().st_ctime_ns > _SETTLED_NS


def of_folder(folder: Path) -> Files:
    """Make the manifest of all files below a folder, as they are now."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def require(folder: Path, files: Mapping[str, Mapping[str, Any]], *, subject: str, fix: str) -> None:
    """Check a folder against its manifest.

    Args:
        folder: the folder.
        files: its manifest.
        subject: what the folder is, for the error, such as "the tuned model".
        fix: what the user can do.

    Raises:
        InputError: a file is missing, was changed, or was added and would be read; InputErrors for several.
    """
    raise_all(
        f"{folder}: {subject} is not as it was written", list(_differences(folder, files, subject, fix))
    )


def _differences(
    folder: Path, files: Mapping[str, Mapping[str, Any]], subject: str, fix: str
) -> Iterator[InputError]:
    for name, entry in files.items():
        if difference := _difference(folder / name, entry):
            yield InputError(
                f"the file is not as it was written with {subject}",
                where=str(folder / name),
                found=difference[0],
                expected=difference[1],
                fix=fix,
            )
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if name not in files and not path.is_dir() and _could_be_read(path):
            yield InputError(
                f"the file was not written with {subject}, and could change what is loaded",
                where=str(path),
                found=f"{name}, which no manifest names",
                expected=", ".join(sorted(files)[:8]),
                fix=f"move {path} elsewhere",
            )


def _difference(path: Path, entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """How a file is and how it was written, None if these are the same. Only regular files are opened."""
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file" if path.exists() else "no such file"
        return kind, f"a file of {entry['size']:,} bytes"
    try:
        size = path.stat().st_size
        if size != entry["size"]:
            return f"{size:,} bytes", f"{entry['size']:,} bytes"
        digest = sha256(path)
    except OSError as error:
        return error.strerror or str(error), "a file that can be read"
    if digest != entry["sha256"]:
        return f"sha256 {digest[:SHOWN]}…", f"sha256 {entry['sha256'][:SHOWN]}…"
    return None


def _could_be_read(path: Path) -> bool:
    """Whether a loader of models might read a file: all but hidden files, documentation and pictures."""
    return not (
        path.name.startswith(".")
        or path.suffix.lower() in _IGNORED_SUFFIXES
        or path.stem.upper() == "LICENSE"
    )
