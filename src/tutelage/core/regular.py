"""Opening files that the user named: only regular files; the error for anything else says what it is.

A pipe, a device or a socket could block the program or never end. So files are opened without blocking, and the kind is checked
on the open handle, where nothing can be exchanged between the check and the reading.
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO, cast

from tutelage.core.errors import InputError, MachineError, TutelageError
from tutelage.core.suggestions import nearest

MAX_NAMES = 5_000
"""The most names of a folder that are compared with a mistyped one."""
_SHOWN = 5
SCHEMES = ("http", "https", "s3", "gs", "hf", "ftp", "file")
"""The beginnings of URLs, which are no paths."""
_KINDS = (
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_FLAGS = (
    os.O_RDONLY
    | os.O_CLOEXEC
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer opens at once instead of waiting for one
    | getattr(os, "O_NOCTTY", 0)
)
_MACHINE = {errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT}
"""Errors of the system that have nothing to do with the name."""


def open_regular(
    path: Path, *, subject: str = "the file", shown: str | None = None, fix: str | None = None
) -> BinaryIO:
    """Open a regular file for reading bytes.

    Args:
        path: the file; links are followed.
        subject: what the file is for, such as "the data file".
        shown: its name in errors, as the user wrote it; `path` when not given.
        fix: the advice when the mistake suggests none.

    Raises:
        InputError: it is not there, not a regular file, or may not be read.
        MachineError: the disk or the system failed.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - one call for every kind of path
        if stat.S_ISREG(mode):  # before opening as well: opening a device can already do something
            handle = os.open(path, _FLAGS)
            try:
                mode = os.fstat(handle).st_mode
                if stat.S_ISREG(mode):
                    return cast("BinaryIO", os.fdopen(handle, "rb"))
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)
    except (OSError, ValueError) as error:
        raise unreadable(path, error, subject=subject, shown=shown, fix=fix) from None
    raise _not_regular(path, mode, subject=subject, shown=shown, fix=fix)


def read_regular(
    path: Path,
    *,
    subject: str = "the file",
    shown: str | None = None,
    fix: str | None = None,
    limit: int | None = None,
) -> bytes:
    """Read a whole regular file of at most `limit` bytes; the other arguments and errors are those of `open_regular`."""
    with open_regular(path, subject=subject, shown=shown, fix=fix) as file:
        try:
            content = file.read() if limit is None else file.read(limit + 1)
            size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise unreadable(path, error, subject=subject, shown=shown, fix=fix) from error
    if limit is not None and len(content) > limit:
        raise _too_large(path, max(size, len(content)), limit, subject=subject, shown=shown)
    return content


def read_text(
    path: Path, *, subject: str, fix: str, limit: int | None = None, shown: str | None = None
) -> str:
    """Read a UTF-8 text file that the user named, without its byte order mark.

    Args:
        path: the file.
        subject: what it is, for errors.
        fix: what to do when it is not there.
        limit: the most bytes that it may have.
        shown: its name in errors.

    Raises:
        InputError: it cannot be read, is too large, or is not UTF-8.
    """
    return decode(
        read_regular(path, subject=subject, fix=fix, limit=limit),
        subject=subject,
        where=shown or str(path),
    )


def decode(content: bytes, *, subject: str, where: str, fix: str = "save the file as UTF-8") -> str:
    """Decode a UTF-8 file without its byte order mark; the InputError names the line and byte that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{subject} is not UTF-8",
            where=f"{where}:{content.count(10, 0, error.start) + 1}",
            found=f"0x{content[error.start]:02x} at byte {error.start + 1} of the file",
            expected="UTF-8",
            fix=fix,
        ) from None


def require_regular(
    path: Path,
    *,
    subject: str = "the file",
    shown: str | None = None,
    fix: str | None = None,
    limit: int | None = None,
) -> None:
    """Raise what `read_regular` would raise, without reading the file."""
    with open_regular(path, subject=subject, shown=shown, fix=fix) as file:
        size = os.fstat(file.fileno()).st_size
    if limit is not None and size > limit:
        raise _too_large(path, size, limit, subject=subject, shown=shown)


def unreadable(
    path: Path,
    error: OSError | ValueError,
    *,
    subject: str = "the file",
    shown: str | None = None,
    fix: str | None = None,
) -> TutelageError:
    """The error for a path that the system refused: what is there instead, and similar names.

    Args:
        path: the path.
        error: the system's error.
        subject: what the file is for.
        shown: its name in errors; `path` when not given.
        fix: the advice when the mistake suggests none.
    """
    where = shown or str(path)
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return _missing(path, subject, where, fix)
    if number in (errno.EACCES, errno.EPERM):
        return _forbidden(path, subject, where)
    if number in (errno.EISDIR, errno.ENXIO):  # the latter is what opening a socket says
        mode = stat.S_IFDIR if number == errno.EISDIR else stat.S_IFSOCK
        return _not_regular(path, mode, subject=subject, shown=shown, fix=fix)
    if number in _MACHINE:
        again = "check the disk, then run the same command again"
        return MachineError(f"{subject} could not be read", where=where, found=str(error), fix=again)
    return _misnamed(path, error, subject, where, fix)


def _misnamed(
    path: Path, error: OSError | ValueError, subject: str, where: str, fix: str | None
) -> InputError:
    """The error for a name that no file can have."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ELOOP:
        return InputError(
            f"{subject} is a link that leads back to itself",
            where=where,
            found=f"a loop of links at {_absolute(path)}",
            expected="a file",
            fix="remove the link, and name the file itself",
        )
    if number == errno.ENAMETOOLONG:
        longest = max(len(os.fsencode(part)) for part in path.parts)
        return InputError(
            f"{subject} has too long a name",
            where=where,
            found=f"a path of {len(os.fsencode(path)):,} bytes, whose longest part has {longest:,}",
            expected="parts of at most 255 bytes",
            fix="check that a file's name stands here and not its content",
        )
    if number is None:
        reason = "a NUL character in the name" if "\0" in str(path) else str(error)
        return InputError(
            f"{subject} has a name that no file can have",
            where=where.replace("\0", "\\0"),
            found=reason,
            fix="correct the name",
        )
    return InputError(f"{subject} could not be read", where=where, found=str(error), fix=fix)


def near_names(path: Path) -> list[str]:
    """Up to three names in the path's folder that are similar to its last part; those that differ in case come first."""
    names = _names(path.parent)
    stems = {name: name.strip().casefold().partition(".")[0] for name in names}
    folded = path.name.strip().casefold()
    other_case = [name for name in names if name.strip().casefold() == folded]
    stem = folded.partition(".")[0]
    close = nearest(stem, list(stems.values())) if stem else None
    similar = [name for name in names if stems[name] in (stem, close) and stem]
    similar.sort(key=lambda name: (Path(name).suffix.lower() != path.suffix.lower(), name))
    return [name for name in dict.fromkeys([*other_case, *similar]) if name != path.name][:3]


def _names(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, MAX_NAMES))
    except (OSError, ValueError):
        return []


def _missing(path: Path, subject: str, where: str, fix: str | None) -> InputError:
    """The error for a path that does not exist: which part is missing, and what was probably meant."""
    lineage = (path, *path.parents)
    for part in lineage:
        if part.is_symlink() and not part.exists():
            return InputError(
                f"{subject} is a link to something that is not there",
                where=where,
                found=f"a link at {part} to {part.readlink()}",
                expected="a file",
                fix="make the link anew, or name the file itself",
            )
    missing = next((part for part, parent in pairwise(lineage) if os.path.exists(parent)), lineage[-1])  # noqa: PTH110 - raises nothing
    if not missing.parent.is_dir():
        reason = f"{missing.parent} is a file, not a folder"
    elif missing == path:
        reason = f"no such file: {_absolute(path)}" if _absolute(path) != where else "no such file"
        suffix = path.suffix.lower()
        neighbours = [name for name in _names(path.parent) if suffix and name.lower().endswith(suffix)]
        if neighbours and not near_names(path):
            reason += f"; in that folder: {', '.join(neighbours[:_SHOWN])}"
    else:
        reason = f"no such folder: {_absolute(missing)}"
    return InputError(
        f"{subject} is not there",
        where=where,
        found=reason,
        expected="a file",
        fix=_advice(path, missing, fix),
    )


def _advice(path: Path, missing: Path, fix: str | None) -> str | None:
    written = str(path)
    if written.partition(":")[0].lower() in SCHEMES:
        return "fetch it first, and name the file on this machine"
    home = next((n for n, part in enumerate(path.parts) if part.startswith("~")), None)
    if home is not None:
        there = Path(*path.parts[home:])
        return f"~ is not replaced here: write {os.path.expanduser(there)}"  # noqa: PTH111 - does not raise for an unknown user
    if near := near_names(missing):
        return "did you mean " + " or ".join(str(missing.with_name(name)) for name in near) + "?"
    if "\\" in written:
        return "separate folders by /"
    return fix


def _forbidden(path: Path, subject: str, where: str) -> InputError:
    closed = next((p for p in reversed(path.absolute().parents) if not os.access(p, os.X_OK)), None)
    return InputError(
        f"{subject} may not be read",
        where=where,
        found="no permission" + (f" to enter the folder {closed}" if closed else ""),
        expected="a file that you may read",
        fix=f"give yourself the right to enter it (chmod u+x {closed})"
        if closed
        else "give yourself the right to read it (chmod u+r)",
    )


def _not_regular(path: Path, mode: int, *, subject: str, shown: str | None, fix: str | None) -> InputError:
    where = shown or str(path)
    if stat.S_ISDIR(mode):
        inside = _files_in(path)
        return InputError(
            f"{subject} is a folder",
            where=where,
            found=f"a folder with {', '.join(inside)}" if inside else "a folder",
            expected="a file",
            fix=f"name a file in it, such as {path / inside[0]}" if inside else fix,
        )
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
    return InputError(
        f"{subject} is not a plain file",
        where=where,
        found=kind,
        expected="a regular file",
        fix="write its content into a file, and name that",
    )


def _too_large(path: Path, size: int, limit: int, *, subject: str, shown: str | None) -> InputError:
    return InputError(
        f"{subject} is too large",
        where=shown or str(path),
        found=f"{size:,} bytes",
        expected=f"at most {limit:,} bytes",
        fix="check that this is the file you mean",
    )


def _files_in(folder: Path) -> list[str]:
    """The first files of a folder by name."""
    visible = (name for name in _names(folder) if not name.startswith("."))
    return list(islice((name for name in visible if os.path.isfile(folder / name)), _SHOWN))  # noqa: PTH113 - raises nothing


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - without `..`, and without following links
