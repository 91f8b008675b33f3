"""Glob patterns and the files below a folder, in bounded time whatever the pattern or the links.

A pattern is matched as a nondeterministic automaton with one bit a state, in time linear in the name's length. Patterns turned
into regular expressions can take exponential time, and so can `**` that is expanded folder by folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_FILES, MAX_PATTERN

_TOKEN = re.compile(r"\*\*/(?:\*\*/)*|\*+|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_MAGIC = re.compile(r"[*?[]")


class Glob:
    """A pattern over names with `/`: `*`, `?` and `[a-z]` stay within a folder, `**` does not.

    Args:
        pattern: the pattern.
        where: its place in a recipe or README, for the error.

    Raises:
        InputError: it is longer than `MAX_PATTERN` characters.
    """

    def __init__(self, pattern: str, *, where: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise InputError(
                "the pattern is too long",
                where=where,
                found=f"{len(pattern):,} characters",
                expected=f"at most {MAX_PATTERN:,} characters",
                fix="name a folder, or use a shorter pattern",
            )
        self.pattern = pattern
        self._tokens: list[str] = []
        for token in _TOKEN.findall(pattern):
            # Of `**/` the first token reads nothing, and may skip the other two.
            is_folders = token.startswith("**/")
            self._tokens += ["**/", "**", "/"] if is_folders else ["**" if token.startswith("**") else token]
        self._end = 1 << len(self._tokens)
        self._stars = self._mask("*", "**")
        self._anywhere = self._mask("**")
        self._skipping = self._mask("**/")
        self._steps: dict[str, tuple[int, int]] = {}
        literal = _MAGIC.search(pattern)
        self._prefix = pattern[: literal.start()] if literal else pattern

    def _mask(self, *tokens: str) -> int:
        return sum(1 << place for place, token in enumerate(self._tokens) if token in tokens)

    def matches(self, name: str) -> bool:
        """Whether the whole pattern matches a name."""
        if not name.startswith(self._prefix):
            return False
        states = self._with_empty_stars(1)
        for character in name:
            advancing, staying = self._steps.get(character) or self._step(character)
            states = self._with_empty_stars(((states & advancing) << 1) | (states & staying))
            if not states:
                return False
        return bool(states & self._end)

    def _with_empty_stars(self, states: int) -> int:
        """The states with those that are reached without a character: stars may stand for nothing."""
        states |= (states & self._skipping) << 3 | (states & self._skipping) << 1
        return states | (states & self._stars) << 1

    def _step(self, character: str) -> tuple[int, int]:
        """For a character: the tokens that consume it, and the stars that stay where they are with it."""
        advancing = ~self._stars & sum(
            1 << n
            for n, part in enumerate(self._tokens)
            if fnmatchcase(character, part) and (part == "/" or character != "/")
        )
        staying = self._anywhere if character == "/" else self._anywhere | self._stars
        self._steps[character] = advancing, staying
        return advancing, staying


def entries(folder: Path, *, depth: int | None = None, links: bool = False) -> Iterator[Path]:
    """All entries below a folder except folders, in no order.

    Args:
        folder: the folder.
        depth: how many levels are read; all of them when not given.
        links: whether links to folders are followed. One that leads to a folder above itself never is.

    Raises:
        InputError: there are more than `MAX_FILES` entries.
        OSError: a folder cannot be read.
    """
    count = 0
    status = folder.stat()
    pending = [(folder, frozenset({(status.st_dev, status.st_ino)}), 1)]
    while pending:
        current, ancestors, level = pending.pop()
        with os.scandir(current) as children:
            for entry in children:
                count += 1
                if count > MAX_FILES:
                    raise InputError(
                        "the folder holds too many files to look through",
                        where=str(folder),
                        found=f"at least {count:,} files and folders",
                        expected=f"at most {MAX_FILES:,}",
                        fix="name the files, or a folder further down",
                    )
                if not _is_folder(entry):
                    yield current / entry.name
                elif (links or not entry.is_symlink()) and level != depth:
                    status = entry.stat()
                    identity = (status.st_dev, status.st_ino)
                    if identity not in ancestors:
                        pending.append((current / entry.name, ancestors | {identity}, level + 1))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def has_magic(name: str) -> bool:
    """Whether a name is a pattern."""
    return _MAGIC.search(name) is not None


def matching(root: Path, pattern: str, *, where: str) -> list[Path]:
    """All paths that match a pattern below a folder, except folders; sorted by name.

    As in the shell, a name that begins with a dot only matches a pattern with such a part, and `**` is special as a whole part.

    Args:
        root: the folder that the pattern is relative to.
        pattern: the pattern; may be absolute, and may begin with `..`.
        where: its place in a recipe, for the error.

    Raises:
        InputError: the pattern is too long, or there are too many files.
        OSError: a folder cannot be read.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    start = next((n for n, part in enumerate(parts) if has_magic(part)), len(parts))
    folder = (root / ("/" if pattern.startswith("/") else ".")).joinpath(*parts[:start])
    segments = [part if part == "**" else re.sub(r"\*+", "*", part) for part in parts[start:]]
    glob = Glob("/".join(segments), where=where)
    hidden = any(part.startswith(".") for part in segments)
    if not folder.is_dir():
        return []
    depth = None if "**" in segments else len(segments)
    paths = []
    for path in entries(folder, depth=depth, links=True):
        inner = path.relative_to(folder)
        visible = hidden or not any(part.startswith(".") for part in inner.parts)
        if visible and glob.matches(inner.as_posix()):
            paths.append(path)
    return sorted(paths, key=str)
