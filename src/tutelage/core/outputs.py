"""Outputs in places that the user names: an output replaces nothing but an earlier output that nobody changed since.

A folder that Tutelage writes has a `tutelage.json`: the kind of output, and the sha256 of every file. An HTML page names
Tutelage in its head, and ends with the sha256 of everything before. Any other content belongs to the user: it is refused
before the work begins, and once more before it would be replaced.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from tutelage.core import files, hashing, manifest
from tutelage.core.errors import InputError

MARKER = "tutelage.json"
"""The file that marks a folder as an output of Tutelage."""
MAX_MARKER_BYTES = 64 * 2**20  # a marker of 100,000 files has 10 MB
LISTED = 5  # names in an error

GENERATOR = '<meta name="generator" content="tutelage">'
_HEAD = re.compile(rb"<!DOCTYPE html>\n<html[^>]*>\n<head>\n(?:<meta [^\n]*>\n)*?" + GENERATOR.encode())
_MAX_HEAD_BYTES = 65_536
_END = re.compile(rb"<!-- sha256 ([0-9a-f]{64}) -->\n")
_END_LENGTH = len("<!-- sha256  -->\n") + 64


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that the user named for an output.

    Attributes:
        path: the folder; a symlink is followed, so that the link stays.
        kind: the kind of output; a folder with another kind is not replaced.
        inputs: files and folders that are read: the output may not be one of them, nor lie in or above one.
        advice: what to do if the folder is refused.
        replaceable: only for the model in a run's own folder: patterns of the file names that a run writes there. Changed files
            are then replaced, and so is an unmarked folder if all its files have such names.
    """

    path: Path
    kind: str
    inputs: Sequence[Path] = ()
    advice: str = "name another folder with --to"
    replaceable: Collection[str] | None = None

    @contextmanager
    def new(self) -> Iterator[Path]:
        """Write the folder: it appears whole, with its marker, when the block ends without an error.

        Yields:
            A scratch folder beside the target.

        Raises:
            InputError: as `check`; the target then stays as it was.
            MachineError: the disk is full or fails.
        """
        with files.new_folder(self.check()) as part:
            yield part
            _write_marker(part, self.kind)
            self.check()  # the user may have put something there in the meantime

    def check(self) -> Path:
        """Refuse a folder that may not be replaced.

        Returns:
            The real path, with symlinks followed.

        Raises:
            InputError: it is an input, a file, the current or home folder, a mount point, or has other content.
        """
        target = _resolve_output(self.path, fix=self.advice, inputs=self.inputs, is_folder=True)
        if not target.exists():
            return target
        if not target.is_dir():
            raise InputError(
                "there is a file of the folder's name",
                where=str(self.path),
                expected="a new or empty folder",
                fix=self.advice,
            )
        _check_place(self.path, target, fix=self.advice)
        if next(_entries(target, fix=self.advice), None) is not None:
            self._check_content(target, fix=f"{self.advice}, or remove this one yourself")
        return target

    def _check_content(self, target: Path, *, fix: str) -> None:
        """Refuse a folder that is no earlier output, or in which files were added or changed."""
        marker = _read_marker(target)
        where = str(self.path)
        if marker is None and self.replaceable is None:
            raise InputError(
                "the folder holds files that Tutelage did not write, or wrote before it marked its outputs",
                where=where,
                found=_first(sorted(entry.name for entry in target.iterdir())),
                expected=f"a new or empty folder, or one with the {MARKER} of an earlier output",
                fix=fix,
            )
        if marker is not None and marker["kind"] != self.kind:
            raise InputError(
                f"the folder holds {marker['kind']}, which is not replaced by {self.kind}",
                where=where,
                fix=fix,
            )
        hashes = marker["files"] if marker is not None else {}
        # Of a folder with far more files than the marker lists, only as many are read as the error shows.
        limit = None if self.replaceable is not None else len(hashes) + 1 + LISTED
        names = [name for name in islice(_entries(target, fix=fix), limit) if name != MARKER]
        added = [
            name
            for name in names
            if name not in hashes and not any(_matches(name, pattern) for pattern in self.replaceable or ())
        ]
        if added:
            raise InputError(
                "the folder is an earlier output, and somebody put more into it",
                where=where,
                found=_first(added),
                expected=f"nothing but the files that {MARKER} lists",
                fix=f"move what is yours elsewhere, or {fix}",
            )
        if self.replaceable is not None:
            return
        if changed := [name for name in names if not _is_unchanged(target / name, hashes[name])]:
            raise InputError(
                "the folder is an earlier output, and files in it were changed since",
                where=where,
                found=_first(changed),
                expected=f"the files that {MARKER} lists, with their sha256",
                fix=fix,
            )


@dataclass(frozen=True, slots=True)
class Page:
    """A file that the user named for an HTML page.

    Attributes:
        path: the file; a symlink is followed, so that the link stays.
        inputs: files that are read: the page may not be one of them.
        advice: what to do if the file is refused.
        older: matches pages that were written before pages had marks.
    """

    path: Path
    inputs: Sequence[Path] = ()
    advice: str = "name another file with --html"
    older: re.Pattern[bytes] | None = None

    def write(self, page: str) -> None:
        """Write the page whole, with the hash by which it can be replaced later. Its head must contain `GENERATOR`.

        Raises:
            InputError: as `check`.
            MachineError: the disk is full or fails.
        """
        content = (page.removesuffix("\n") + "\n").encode("utf-8")
        if _HEAD.match(content) is None:
            raise ValueError("a page without its mark could not be replaced later")
        end = f"<!-- sha256 {hashing.of_bytes(content)} -->\n".encode("ascii")
        files.write_bytes(self.check(), content + end)

    def is_whole(self) -> bool:
        """Whether the page exists as Tutelage wrote it."""
        return self.path.is_file() and _page_problem(self.path, self.older) is None

    def check(self) -> Path:
        """Refuse a file that may not be replaced.

        Returns:
            The real path, with symlinks followed.

        Raises:
            InputError: it is an input, a folder, a device, or a file that is not an unchanged page of Tutelage.
        """
        target = _resolve_output(self.path, fix=self.advice, inputs=self.inputs, is_folder=False)
        if not target.exists():
            return target
        if not target.is_file():
            kind = "a folder" if target.is_dir() else "a device or a pipe"
            raise InputError(
                f"the name is of {kind}", where=str(self.path), expected="a new file", fix=self.advice
            )
        if target.stat().st_size and (problem := _page_problem(target, self.older)):
            raise InputError(
                problem,
                where=str(self.path),
                expected="a new file, or a page as Tutelage wrote it",
                fix=f"{self.advice}, or remove this one yourself",
            )
        return target


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file of data that the user named: nothing is replaced, since data has no place for a mark.

    Attributes:
        path: the file; a symlink is followed, so that the link stays.
        inputs: files and folders that are read: the file may not be one of them.
        advice: what to do if the file is refused.
    """

    path: Path
    inputs: Sequence[Path] = ()
    advice: str = "name another file with --out"

    def write(self, content: bytes, *, may_exist: bool = False) -> None:
        """Write the file whole.

        Raises:
            InputError: as `check`.
            MachineError: the disk is full or fails.
        """
        files.write_bytes(self.check(may_exist=may_exist), content)

    def check(self, *, may_exist: bool = False) -> Path:
        """Refuse a name that is taken.

        Args:
            may_exist: whether a file may be there, because it is known to be an earlier output of the same content.

        Returns:
            The real path, with symlinks followed.

        Raises:
            InputError: it is an input, a folder, a device, or a file that is there.
        """
        target = _resolve_output(self.path, fix=self.advice, inputs=self.inputs, is_folder=False)
        if not target.exists() or (may_exist and target.is_file()):
            return target
        kind = "a folder" if target.is_dir() else "a file" if target.is_file() else "a device or a pipe"
        raise InputError(
            f"there is {kind} of this name, which is not replaced",
            where=str(self.path),
            expected="a new file",
            fix=f"{self.advice}, or remove this one yourself" if target.is_file() else self.advice,
        )


def _page_problem(path: Path, older: re.Pattern[bytes] | None) -> str | None:
    """Why a file is not an unchanged page of Tutelage; None if it is one."""
    try:
        with path.open("rb") as file:
            head = file.read(_MAX_HEAD_BYTES)
            # Other files may be very long: only a page is read to its end.
            content = head + (file.read() if head.startswith(b"<!DOCTYPE html>\n") else b"")
    except OSError as error:
        return f"the file cannot be looked into ({error.strerror}) and would be replaced"
    if _HEAD.match(head) is None:
        is_page = head.startswith(b"<!DOCTYPE html>\n")
        is_older = is_page and older is not None and older.search(content) is not None
        return None if is_older else "the file was not written by Tutelage and would be replaced"
    end = _END.fullmatch(content[-_END_LENGTH:])
    if end is None or end[1].decode("ascii") != hashing.of_bytes(content[:-_END_LENGTH]):
        return "the page was changed since Tutelage wrote it and would be replaced"
    return None


def _resolve_output(path: Path, *, fix: str, inputs: Sequence[Path], is_folder: bool) -> Path:
    """Follow the symlinks of an output's path, and refuse an output that is an input.

    Raises:
        InputError: a link that leads nowhere, a name that cannot be used, an output that is an input, or a folder that lies in or
            above an input.
    """
    try:
        target = path.resolve()
        if path.is_symlink() and not target.exists():
            raise InputError("the link leads nowhere", where=str(path), expected="a new name", fix=fix)
        parent = files.existing_parent(target)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "links in a circle"
        raise InputError("the name cannot be used", where=str(path), found=reason, fix=fix) from error
    if not parent.is_dir():
        raise InputError(
            "the output would lie in a file", where=str(path), found=f"{parent}, which is a file", fix=fix
        )
    for source in inputs:
        real = source.expanduser().resolve()
        if target == real or (target.exists() and real.exists() and target.samefile(real)):
            raise InputError(
                "the output is what the command reads",
                where=str(path),
                found=str(source),
                expected="another place than the input's",
                fix=fix,
            )
        if is_folder and (target in real.parents or (real.is_dir() and real in target.parents)):
            raise InputError(
                f"the output lies {'above' if target in real.parents else 'in'} what the command reads",
                where=str(path),
                found=str(source),
                expected="a folder outside of it",
                fix=fix,
            )
    return target


def _check_place(path: Path, target: Path, *, fix: str) -> None:
    """Refuse folders that cannot be replaced without harm even if they are empty."""
    here = Path.cwd().resolve()
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - does not raise for an account without a home
    places = {
        "the current folder, or lies above it": target in (here, *here.parents),
        "your home folder": str(target) == home,
        "a mount point": target.is_mount(),
    }
    if name := next((name for name, is_output in places.items() if is_output), None):
        raise InputError(
            f"the output is {name}, which is not replaced",
            where=str(path),
            expected="a folder that this command may make",
            fix=fix,
        )


def _entries(target: Path, *, fix: str) -> Iterator[str]:
    """The paths in a folder of every file, every link, and every empty folder (with a slash at the end)."""

    def refuse(error: OSError) -> None:
        raise InputError(
            "the folder cannot be looked into",
            where=str(error.filename or target),
            found=error.strerror,
            fix=fix,
        ) from error

    for root, folders, names in os.walk(target, onerror=refuse):
        folders.sort()
        below = Path(root).relative_to(target)
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        if below.parts and not folders and not names:
            yield f"{below.as_posix()}/"
        for name in sorted([*names, *links]):
            yield (below / name).as_posix()


def _matches(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern in which a star stands for anything but a slash."""
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


def _is_unchanged(path: Path, sha256: object) -> bool:
    with suppress(OSError):
        return path.is_file() and not path.is_symlink() and manifest.sha256(path) == sha256
    return False


def _write_marker(folder: Path, kind: str) -> None:
    hashes = {name: file["sha256"] for name, file in manifest.of_folder(folder).items() if name != MARKER}
    marker = {"program": "tutelage", "kind": kind, "files": hashes}
    files.write_text(folder / MARKER, json.dumps(marker, indent=1, ensure_ascii=False) + "\n")


def _read_marker(folder: Path) -> dict[str, Any] | None:
    """Read a folder's marker, with `kind` and `files` (sha256 by path); None if there is none that Tutelage could have written."""
    path = folder / MARKER
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_MARKER_BYTES:
            return None
        marker = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    is_whole = (
        isinstance(marker, dict)
        and marker.get("program") == "tutelage"
        and isinstance(marker.get("kind"), str)
        and isinstance(marker.get("files"), dict)
    )
    return marker if is_whole else None


def _first(names: Sequence[str]) -> str:
    """The first names of a list, for an error."""
    more = ", ..." if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
