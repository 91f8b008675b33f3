"""A chat in a terminal or through a pipe: questions in, answers out piece by piece, a few commands.

Everything that is written passes `visible`, or `AnswerColumns`, which does the same: no terminal obeys what a model writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TextIO

from rich.console import Console

from tutelage.chat.columns import AnswerColumns, fits
from tutelage.chat.lines import ChatInput
from tutelage.chat.session import ChatSession, PendingQuestion
from tutelage.chat.text import encodable, visible
from tutelage.core.errors import InputError, TutelageError
from tutelage.core.suggestions import did_you_mean

HELP = {
    "/retry": "sample the last answer again",
    "/reset": "forget the conversation; the system prompt stays",
    "/system TEXT": "set the system prompt and start over; without TEXT, remove it",
    "/temperature T": "0 takes the likeliest token, above 0 answers are sampled; without T, show it",
    "/history": "the conversation so far",
    "/help": "this list",
    "/exit": "end; Ctrl-D does too",
}
COMMANDS = tuple(line.split()[0] for line in HELP)
HOW_TO_ASK = (
    "A line that ends with \\ continues in the next one.\n"
    'Between """ and """ a question may have several lines.\n'
    "Write a question that begins with / with //.\n"
)


class TerminalChat:
    """Shows a chat session in a terminal.

    Args:
        session: the chat.
        out: where answers are written.
        interactive: whether a person types: then errors are shown and the chat goes on, and Ctrl-C stops an answer.
        show: whether answers are written as they come.
        console: where two answers can be drawn side by side, if it is wide enough.
    """

    def __init__(
        self,
        session: ChatSession,
        *,
        out: TextIO,
        interactive: bool,
        show: bool = True,
        console: Console | None = None,
    ) -> None:
        self.session = session
        self._out = out
        self._interactive = interactive
        self._show = show
        self._console = console
        self._commands: dict[str, Callable[[str], None]] = {
            "/retry": lambda _: self._answer(self.session.ask_again()),
            "/reset": self._reset,
            "/system": self._system,
            "/temperature": self._temperature,
            "/history": self._history,
            "/help": self._help,
        }

    def run(self, inputs: Iterable[ChatInput]) -> None:
        """Answer questions and obey commands, until they end or `/exit`.

        Raises:
            InputError: through a pipe, an unknown command, or a question that does not fit; with the line's number.
                A person is shown the error and asked again.
        """
        for chat_input in inputs:
            if not chat_input.quoted and chat_input.text.split()[:1] == ["/exit"]:
                return
            try:
                self._take(chat_input)
            except TutelageError as error:
                if not self._interactive:
                    raise InputError(
                        error.problem,
                        where=f"standard input:{chat_input.number}",
                        found=error.found,
                        expected=error.expected,
                        fix=error.fix,
                    ) from error
                self._write(error.block() + "\n")

    def _take(self, chat_input: ChatInput) -> None:
        text = chat_input.text
        if not chat_input.quoted and text.startswith("/") and not text.startswith("//"):
            self._command(text)
        elif text.strip():  # two slashes begin a question with one
            self._answer(self.session.ask(text if chat_input.quoted else text.removeprefix("/")))

    def _command(self, text: str) -> None:
        name, *rest = text.split(maxsplit=1)
        command = self._commands.get(name)
        if command is None:
            raise InputError(
                "there is no such command",
                where="chat",
                found=name,
                expected=", ".join(HELP),
                fix=did_you_mean(name, COMMANDS) or "write // for a question that begins with /",
            )
        command(rest[0] if rest else "")

    def _help(self, _argument: str) -> None:
        width = max(map(len, HELP)) + 2
        self._write("".join(f"{command:<{width}}{text}\n" for command, text in HELP.items()) + HOW_TO_ASK)

    def _reset(self, _argument: str) -> None:
        self.session.reset()
        self._remark("the conversation starts over")

    def _system(self, text: str) -> None:
        self.session.set_system(text)
        self._remark(f"the system prompt is {'set' if text else 'removed'}; the conversation starts over")

    def _temperature(self, text: str) -> None:
        if text:
            try:
                temperature = float(text)
            except ValueError:
                raise InputError(
                    "the temperature is not a number",
                    where="/temperature",
                    found=text,
                    expected="0, or 0.7, say",
                ) from None
            self.session.set_temperature(temperature)
        self._remark(f"the temperature is {self.session.settings.temperature:g}")

    def _history(self, _argument: str) -> None:
        for turn in self.session.history:
            self._write(f"you> {turn.question}\n")
            for label, answer in turn.answers.items():
                self._write(f"{label}> {answer}\n")
            self._write("\n" if self._compares else "")
        if not self.session.history:
            self._remark("no question yet")

    @property
    def _compares(self) -> bool:
        return len(self.session.responders) > 1

    def _answer(self, pending: PendingQuestion) -> None:
        if dropped := pending.max_dropped:
            self._remark(
                f"the conversation no longer fits: the oldest {dropped} question"
                f"{'s and their answers are' if dropped > 1 else ' and its answer are'} forgotten"
            )
        try:
            if self._show and self._compares and self._console and fits(self._console):
                self._side_by_side(pending, self._console)
            else:
                self._in_turn(pending)
        except KeyboardInterrupt:
            if not self._interactive:
                raise
            self._remark("stopped")
        self._write("\n" if self._interactive else "")

    def _side_by_side(self, pending: PendingQuestion, console: Console) -> None:
        columns = AnswerColumns(self.session.labels, console)
        with closing(self.session.answer(pending)) as pieces, columns:
            for piece in pieces:
                columns.add(piece.label, piece.text)

    def _in_turn(self, pending: PendingQuestion) -> None:
        labelled = self._compares or self._interactive
        current = None
        with closing(self.session.answer(pending)) as pieces:
            try:
                for piece in pieces:
                    if piece.label != current:
                        self._write("" if current is None else "\n")
                        self._write(f"{piece.label}> " if labelled else "")
                        current = piece.label
                    self._write(piece.text)
            finally:
                self._write("\n")

    def _remark(self, text: str) -> None:
        """A remark of the program, for a person."""
        if self._interactive:
            self._write(f"({text})\n")

    def _write(self, text: str) -> None:
        if not self._show:
            return
        self._out.write(encodable(visible(text), getattr(self._out, "encoding", None)))
        self._out.flush()
