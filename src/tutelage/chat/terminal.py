"""Talking in a terminal or through a pipe: questions in, answers out piece by piece, a few commands.

All that is written passes `visible`, or `Columns`, which does the same: no terminal obeys what a model writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, TextIO

from tutelage.chat.columns import Columns, fits
from tutelage.chat.lines import Entry
from tutelage.chat.text import encodable, visible
from tutelage.chat.turns import Asking, Talk
from tutelage.core.errors import InputError, TutelageError
from tutelage.core.suggestions import did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

HELP = {
    "/retry": "draw the last answer again",
    "/reset": "forget the conversation; the system prompt stays",
    "/system TEXT": "set the system prompt and begin anew; without TEXT, remove it",
    "/temperature T": "0 takes the likeliest token, above 0 answers are drawn; without T, show it",
    "/history": "the conversation so far",
    "/help": "this list",
    "/exit": "end; Ctrl-D does too",
}
COMMANDS = tuple(line.split()[0] for line in HELP)
HOW_TO_ASK = (
    "A line that ends with \\ goes on in the next one.\n"
    'Between """ and """ a question may have any lines.\n'
    "A question that begins with / is written with //.\n"
)


class Ended(Exception):
    """The person wants to end."""


class Terminal:
    """The loop.

    Args:
        talk: who answers, and what is remembered.
        out: where answers are written.
        interactive: whether a person types: then errors are told and the talk goes on, and Ctrl-C stops an answer.
        show: whether answers are written as they come.
        console: where answers of several voices can be drawn side by side, when it is wide enough.
    """

    def __init__(
        self,
        talk: Talk,
        *,
        out: TextIO,
        interactive: bool,
        show: bool = True,
        console: Console | None = None,
    ) -> None:
        self.talk = talk
        self._out = out
        self._interactive = interactive
        self._show = show
        self._console = console
        self._commands: dict[str, Callable[[str], None]] = {
            "/retry": lambda _: self._answer(self.talk.ask_again()),
            "/reset": self._reset,
            "/system": self._system,
            "/temperature": self._temperature,
            "/history": self._history,
            "/help": self._help,
            "/exit": self._exit,
        }

    def run(self, entries: Iterable[Entry]) -> None:
        """Take every entry as a question or a command until they end or the person does.

        Raises:
            InputError: through a pipe, an unknown command, or a question that does not fit; with the line's number.
                A person is told and asked again.
        """
        for entry in entries:
            try:
                self._take(entry)
            except Ended:
                return
            except TutelageError as error:
                if not self._interactive:
                    raise InputError(
                        error.problem,
                        where=f"standard input:{entry.number}",
                        found=error.found,
                        expected=error.expected,
                        fix=error.fix,
                    ) from error
                self._write(error.block() + "\n")

    def _take(self, entry: Entry) -> None:
        text = entry.text
        if not text.strip():
            return
        if entry.quoted or not text.startswith("/"):
            self._answer(self.talk.ask(text))
        elif text.startswith("//"):
            self._answer(self.talk.ask(text.removeprefix("/")))
        else:
            self._command(text)

    def _command(self, text: str) -> None:
        name, *rest = text.split(maxsplit=1)
        act = self._commands.get(name)
        if act is None:
            raise InputError(
                "there is no such command",
                where="chat",
                found=name,
                expected=", ".join(HELP),
                fix=did_you_mean(name, COMMANDS) or "write // for a question that begins with /",
            )
        act(rest[0] if rest else "")

    def _help(self, _rest: str) -> None:
        width = max(map(len, HELP)) + 2
        self._write("".join(f"{command:<{width}}{what}\n" for command, what in HELP.items()) + HOW_TO_ASK)

    def _exit(self, _rest: str) -> None:
        raise Ended

    def _reset(self, _rest: str) -> None:
        self.talk.reset()
        self._tell("the conversation begins anew")

    def _system(self, rest: str) -> None:
        self.talk.set_system(rest)
        self._tell(f"the system prompt is {'set' if rest else 'removed'}; the conversation begins anew")

    def _temperature(self, rest: str) -> None:
        if rest:
            try:
                wanted = float(rest)
            except ValueError:
                raise InputError(
                    "the temperature is no number",
                    where="/temperature",
                    found=rest,
                    expected="0, or 0.7, say",
                ) from None
            self.talk.set_temperature(wanted)
        self._tell(f"the temperature is {self.talk.settings.temperature:g}")

    def _history(self, _rest: str) -> None:
        several = len(self.talk.voices) > 1
        for turn in self.talk.history:
            self._write(f"you> {turn.question}\n")
            for label, answer in turn.answers.items():
                self._write(f"{label}> {answer}\n")
            self._write("\n" if several else "")
        if not self.talk.history:
            self._tell("nothing was asked yet")

    def _answer(self, asking: Asking) -> None:
        if count := asking.forgotten:
            self._tell(
                f"the conversation no longer fits: the oldest {count} question"
                f"{'s and their answers are' if count > 1 else ' and its answer are'} forgotten"
            )
        try:
            if self._show and len(self.talk.voices) > 1 and self._console and fits(self._console):
                self._side_by_side(asking, self._console)
            else:
                self._in_turn(asking)
        except KeyboardInterrupt:
            if not self._interactive:
                raise
            self._tell("stopped")
        self._write("\n" if self._interactive else "")

    def _side_by_side(self, asking: Asking, console: Console) -> None:
        with closing(self.talk.answer(asking)) as pieces, Columns(self.talk.labels, console) as columns:
            for piece in pieces:
                columns.add(piece.label, piece.text)

    def _in_turn(self, asking: Asking) -> None:
        named = len(self.talk.voices) > 1 or self._interactive
        speaking = None
        with closing(self.talk.answer(asking)) as pieces:
            try:
                for piece in pieces:
                    if piece.label != speaking:
                        self._write("" if speaking is None else "\n")
                        self._write(f"{piece.label}> " if named else "")
                        speaking = piece.label
                    self._write(piece.text)
            finally:
                self._write("\n")

    def _tell(self, what: str) -> None:
        """A remark of the program's own, for a person."""
        if self._interactive:
            self._write(f"({what})\n")

    def _write(self, text: str) -> None:
        if not self._show:
            return
        self._out.write(encodable(visible(text), getattr(self._out, "encoding", None)))
        self._out.flush()
