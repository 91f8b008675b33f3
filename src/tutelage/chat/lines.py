"""Turns lines, typed or from a pipe, into questions of one line or several.

A line that ends with a backslash continues in the next one (two backslashes at an end stand for one). A line that begins with
three quotes opens a block that ends with the next three quotes at a line's end; its text is a question as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tutelage.core.errors import InputError

FENCE = '"""'
PROMPT, CONTINUATION_PROMPT = "you> ", "...> "


@dataclass(frozen=True, slots=True)
class ChatInput:
    """A question or a command, and the number of its first line, from 1. A quoted text is never a command."""

    number: int
    text: str
    quoted: bool = False


class InputAssembler:
    """Assembles lines to inputs."""

    def __init__(self) -> None:
        self._number = 0
        self._first = 0
        self._lines: list[str] = []
        self._quoted = False

    @property
    def open(self) -> bool:
        """Whether an input has begun and is not complete."""
        return bool(self._lines) or self._quoted

    def add(self, line: str) -> ChatInput | None:
        """The input that this line completes, if it does."""
        self._number += 1
        if not self.open:
            self._first = self._number
            if line.lstrip().startswith(FENCE):
                self._quoted = True
                line = line.lstrip().removeprefix(FENCE)
        if self._quoted:
            line = line.rstrip("\r\n")
            complete = line.rstrip().endswith(FENCE)
            self._lines.append(line.rstrip().removesuffix(FENCE) if complete else line)
        else:
            line = line.strip("\r\n")
            text = line.rstrip("\\")
            slashes = len(line) - len(text)
            self._lines.append(text + "\\" * (slashes // 2))
            complete = slashes % 2 == 0
        return self._complete() if complete else None

    def end(self) -> ChatInput | None:
        """The input that the end of all lines completes, if one is open.

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

    def discard(self) -> None:
        """Drop an incomplete input."""
        self._lines, self._quoted = [], False

    def _complete(self) -> ChatInput:
        text = "\n".join(self._lines)
        text = text.strip("\n") if self._quoted else text.strip()
        complete = ChatInput(self._first, text, self._quoted)
        self.discard()
        return complete


def typed_inputs(read_line: Callable[[str], str], show: Callable[[str], None]) -> Iterator[ChatInput]:
    """Read what a person types, until Ctrl-D. Ctrl-C drops an incomplete input; twice in a row it ends the program.

    Args:
        read_line: shows its argument and returns the next line: `input`.
        show: shows a remark.
    """
    assembler = InputAssembler()
    interrupted = False
    while True:
        try:
            line = read_line(CONTINUATION_PROMPT if assembler.open else PROMPT)
        except EOFError:
            show("\n(the incomplete question is not asked)" if assembler.open else "")
            return
        except KeyboardInterrupt:
            if assembler.open:
                assembler.discard()
                show("\n(forgotten)")
                continue
            if interrupted:
                raise
            interrupted = True
            show("\n(Ctrl-D or /exit ends; so does Ctrl-C again)")
            continue
        interrupted = False
        # A terminal may send bytes that are not text; models read only text.
        complete = assembler.add(line.encode("utf-8", "replace").decode("utf-8"))
        if complete is not None:
            yield complete


def piped_inputs(stream: BinaryIO) -> Iterator[ChatInput]:
    """Read what comes through a pipe.

    Raises:
        InputError: with the line, if it is not UTF-8, or a block is not closed.
    """
    assembler = InputAssembler()
    for number, line in enumerate(stream, start=1):
        try:
            complete = assembler.add(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(
                "the line is not UTF-8",
                where=f"standard input:{number}",
                found=f"byte 0x{line[error.start]:02x} at position {error.start + 1}",
                expected="text in UTF-8",
                fix="save the questions as UTF-8",
            ) from error
        if complete is not None:
            yield complete
    if (last := assembler.end()) is not None:
        yield last
