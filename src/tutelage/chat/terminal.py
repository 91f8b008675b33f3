"""Talking in a terminal or through a pipe: questions in, answers out piece by piece, a few commands.

What a model writes is shown so that the terminal cannot obey it: control characters become visible signs, one by one,
so that a sequence that comes in pieces is caught too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TextIO

from tutelage.chat.session import Conversation
from tutelage.chat.voices import Voice
from tutelage.core import seeds
from tutelage.core.errors import InputError, TutelageError, nearest

HELP = {
    "/reset": "forget the conversation; the system prompt stays",
    "/system TEXT": "set the system prompt and begin anew; without TEXT, remove it",
    "/help": "this list",
    "/exit": "end; Ctrl-D does too",
}
COMMANDS = tuple(line.split()[0] for line in HELP)
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that turn the direction of what follows: text that reads otherwise than it is."""

SIGNS = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys(map(ord, TURNING), "\ufffd"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How answers are made: at most so many tokens, greedy at temperature 0, else drawn from the seed."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    system: str | None = None


@dataclass(slots=True)
class Turn:
    """One question and the answers to it, by voice. `dropped` counts earlier exchanges that no longer fitted."""

    question: str
    system: str | None
    answers: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False


class Ended(Exception):
    """The person wants to end."""


def visible(text: str) -> str:
    """The text with every control character but tab and line feed as a visible sign."""
    return text.replace("\r\n", "\n").translate(SIGNS)


class Terminal:
    """The loop.

    Args:
        voices: who answers, in this order.
        settings: how.
        out: where answers are written.
        interactive: whether a person types: then errors are told and the talk goes on, and Ctrl-C stops an answer.
        show: whether answers are written as they come.
    """

    def __init__(
        self,
        voices: Sequence[Voice],
        settings: Settings,
        *,
        out: TextIO,
        interactive: bool,
        show: bool = True,
    ) -> None:
        self.voices = tuple(voices)
        self.settings = settings
        self.turns: list[Turn] = []
        self._out = out
        self._interactive = interactive
        self._show = show
        self._system = settings.system
        self._talks = self._anew()

    def run(self, lines: Iterator[str]) -> None:
        """Take every line as a question or a command until they end or the person does.

        Raises:
            InputError: through a pipe, a line that is an unknown command, or a question that does not fit; with
                the line's number. A person is told and asked again.
        """
        for number, line in enumerate(lines, start=1):
            try:
                self._take(line.strip("\r\n"))
            except Ended:
                return
            except TutelageError as error:
                if not self._interactive:
                    raise InputError(
                        error.problem,
                        where=f"standard input:{number}",
                        found=error.found,
                        expected=error.expected,
                        fix=error.fix,
                    ) from error
                self._write(error.block() + "\n")

    def as_json(self) -> dict[str, Any]:
        """The whole talk: models, settings, and every question with its answers as the models wrote them."""
        settings = self.settings
        return {
            "schema": 1,
            "models": [{"label": voice.label, "model": voice.model} for voice in self.voices],
            "settings": {
                "max_new_tokens": settings.max_new_tokens,
                "temperature": settings.temperature,
                "seed": settings.seed,
            },
            "turns": [
                {
                    "system": turn.system,
                    "question": turn.question,
                    "answers": dict(turn.answers),
                    "dropped": dict(turn.dropped),
                    "interrupted": turn.interrupted,
                }
                for turn in self.turns
            ],
        }

    def _take(self, line: str) -> None:
        text = line.strip()
        if not text:
            return
        if text.startswith("/") and not text.startswith("//"):
            self._command(text)
        else:
            # Two slashes are a question that begins with one.
            self._question(text.removeprefix("/") if text.startswith("//") else text)

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if name == "/exit":
            raise Ended
        if name == "/help":
            width = max(map(len, HELP)) + 2
            self._write("".join(f"{command:<{width}}{what}\n" for command, what in HELP.items()))
            self._write("A question that begins with / is written with //.\n")
        elif name == "/reset":
            self._talks = self._anew()
            self._tell("the conversation begins anew")
        elif name == "/system":
            self._system = rest.strip() or None
            self._talks = self._anew()
            self._tell(
                f"the system prompt is {'set' if self._system else 'removed'}; the conversation begins anew"
            )
        else:
            close = nearest(name, COMMANDS)
            raise InputError(
                "there is no such command",
                where="chat",
                found=name,
                expected=", ".join(HELP),
                fix=f"did you mean {close}?" if close else "write // for a question that begins with /",
            )

    def _anew(self) -> dict[str, Conversation]:
        deaf = [voice.label for voice in self.voices if not voice.remembers]
        if self._system and deaf:
            self._system = None
            raise InputError(
                "an encoder-decoder model reads the question alone: it takes no system prompt",
                where="chat",
                found=", ".join(deaf),
                fix="write what it shall know into the question",
            )
        return {
            voice.label: Conversation(
                count=voice.count,
                context=voice.context,
                room=self.settings.max_new_tokens,
                system=self._system,
                remembers=voice.remembers,
            )
            for voice in self.voices
        }

    def _question(self, question: str) -> None:
        turn = Turn(question, self._system)
        # All must be able to take the question before one answers it.
        asked = {voice.label: self._talks[voice.label].ask(question) for voice in self.voices}
        turn.dropped = {label: ask.dropped for label, ask in asked.items()}
        if forgotten := max(turn.dropped.values()):
            self._tell(
                f"the conversation no longer fits: the oldest {forgotten} question"
                f"{'s and their answers are' if forgotten > 1 else ' and its answer are'} forgotten"
            )
        self.turns.append(turn)
        for voice in self.voices:
            said: list[str] = []
            try:
                self._answer(voice, asked[voice.label].messages, said)
            except KeyboardInterrupt:
                if not self._interactive:
                    raise
                turn.interrupted = True
            turn.answers[voice.label] = "".join(said)
            if turn.interrupted:
                self._write("\n")
                self._tell("stopped")
                break
            self._write("\n")
        for label, answer in turn.answers.items():
            if answer:
                self._talks[label].hear(question, answer)
        if self._interactive:
            self._write("\n")

    def _answer(self, voice: Voice, messages: Sequence[dict[str, str]], said: list[str]) -> None:
        settings = self.settings
        if len(self.voices) > 1 or self._interactive:
            self._write(f"{voice.label}> ")
        pieces = voice.stream(
            messages,
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            # A question asked twice is drawn anew, and a whole talk can be repeated.
            seed=seeds.derive(settings.seed, "chat", len(self.turns)),
        )
        for piece in pieces:
            said.append(piece)
            self._write(visible(piece))

    def _tell(self, what: str) -> None:
        """A remark of the program's own, for a person."""
        if self._interactive:
            self._write(f"({what})\n")

    def _write(self, text: str) -> None:
        if not self._show:
            return
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        self._out.write(text.encode(encoding, "replace").decode(encoding))
        self._out.flush()


def typed(ask: Callable[[str], str], tell: Callable[[str], None]) -> Iterator[str]:
    """Lines that a person types, until Ctrl-D. Ctrl-C forgets the line; twice in a row it ends the program.

    Args:
        ask: shows its argument and gives the next line: `input`.
        tell: shows a remark.
    """
    pressed = False
    while True:
        try:
            line = ask("you> ")
        except EOFError:
            tell("")
            return
        except KeyboardInterrupt:
            if pressed:
                raise
            pressed = True
            tell("\n(Ctrl-D or /exit ends; so does Ctrl-C again)")
            continue
        pressed = False
        # A terminal may send bytes that are no text; models take only text.
        yield line.encode("utf-8", "replace").decode("utf-8")


def piped(stream: BinaryIO) -> Iterator[str]:
    """Lines that come through a pipe. Raises InputError, with the line, where they are not UTF-8."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                "the line is not UTF-8",
                where=f"standard input:{number}",
                found=f"byte 0x{line[error.start]:02x} at position {error.start + 1}",
                expected="text in UTF-8",
                fix="save the questions as UTF-8",
            ) from error
