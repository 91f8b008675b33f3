"""From lines to questions: typed or through a pipe, one line or several.

A line that ends with a backslash goes on in the next one (two backslashes at an end stand for one). A line that begins
with three quotes opens a block that goes to the next three quotes at a line's end, and whose text is a question as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tutelage.core.errors import InputError

FENCE = '"""'
PROMPT, MORE = "you> ", "...> "


@dataclass(frozen=True, slots=True)
class Entry:
    """What was entered: a question or a command. `number` is its first line, from 1.

    A text in quotes is never a command.
    """

    number: int
    text: str
    quoted: bool = False


class Gathering:
    """Lines on their way to an entry."""

    def __init__(self) -> None:
        self._number = 0
        self._first = 0
        self._lines: list[str] = []
        self._quoted = False

    @property
    def open(self) -> bool:
        """Whether an entry has begun and is not complete."""
        return bool(self._lines) or self._quoted

    def take(self, line: str) -> Entry | None:
        """The entry that this line completes, if it does."""
        self._number += 1
        if not self.open:
            self._first = self._number
            if line.lstrip().startswith(FENCE):
                self._quoted = True
                line = line.lstrip().removeprefix(FENCE)
        if self._quoted:
            return self._in_block(line)
        line = line.strip("\r\n")
        kept = line.rstrip("\\")
        slashes = len(line) - len(kept)
        self._lines.append(kept + "\\" * (slashes // 2))
        return None if slashes % 2 else self._complete()

    def end(self) -> Entry | None:
        """The entry that the end of all lines completes, if one is open.

        Raises:
            InputError: a block is still open.
        """
        if self._quoted:
            raise InputError(
                'a block that """ opened is not closed',
                where=f"standard input:{self._first}",
                expected='three quotes at the end of a later line: """',
            )
        return self._complete() if self.open else None

    def drop(self) -> None:
        """Forget what was begun."""
        self._lines, self._quoted = [], False

    def _in_block(self, line: str) -> Entry | None:
        line = line.rstrip("\r\n")
        if not line.rstrip().endswith(FENCE):
            self._lines.append(line)
            return None
        self._lines.append(line.rstrip().removesuffix(FENCE))
        return self._complete()

    def _complete(self) -> Entry:
        text = "\n".join(self._lines)
        entry = Entry(self._first, text.strip("\n") if self._quoted else text.strip(), self._quoted)
        self.drop()
        return entry


def typed(ask: Callable[[str], str], tell: Callable[[str], None]) -> Iterator[Entry]:
    """What a person types, until Ctrl-D. Ctrl-C forgets what was begun; twice in a row it ends the program.

    Args:
        ask: shows its argument and gives the next line: `input`.
        tell: shows a remark.
    """
    gathering = Gathering()
    pressed = False
    while True:
        try:
            line = ask(MORE if gathering.open else PROMPT)
        except EOFError:
            tell("\n(what was begun is not asked)" if gathering.open else "")
            return
        except KeyboardInterrupt:
            if gathering.open:
                gathering.drop()
                tell("\n(forgotten)")
                continue
            if pressed:
                raise
            pressed = True
            tell("\n(Ctrl-D or /exit ends; so does Ctrl-C again)")
            continue
        pressed = False
        # A terminal may send bytes that are no text; models take only text.
        entry = gathering.take(line.encode("utf-8", "replace").decode("utf-8"))
        if entry is not None:
            yield entry


def piped(stream: BinaryIO) -> Iterator[Entry]:
    """What comes through a pipe.

    Raises:
        InputError: with the line, where it is not UTF-8, or a block is not closed.
    """
    gathering = Gathering()
    for number, line in enumerate(stream, start=1):
        try:
            entry = gathering.take(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(
                "the line is not UTF-8",
                where=f"standard input:{number}",
                found=f"byte 0x{line[error.start]:02x} at position {error.start + 1}",
                expected="text in UTF-8",
                fix="save the questions as UTF-8",
            ) from error
        if entry is not None:
            yield entry
    if (last := gathering.end()) is not None:
        yield last
