"""A talk with all its voices: what a terminal and a page do alike. They only show it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from tutelage.chat.session import Asked, Conversation
from tutelage.chat.voices import Voice
from tutelage.core import seeds
from tutelage.core.errors import InputError

COOLEST, HOTTEST = 0.01, 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How answers are made: at most so many tokens, greedy at temperature 0, else drawn from the seed."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """A question that every voice can take: what each reads for it, by label."""

    question: str
    asked: Mapping[str, Asked]

    @property
    def forgotten(self) -> int:
        """How many earlier exchanges no longer fitted, for the voice that lost most."""
        return max(ask.dropped for ask in self.asked.values())


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of one voice's answer; the first of each is empty and says that the voice begins."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and the answers to it, by voice.

    Attributes:
        dropped: earlier exchanges that no longer fitted, by voice.
        interrupted: whether the person stopped it.
        replaced: whether the next turn draws the answers again.
    """

    question: str
    system: str | None
    temperature: float
    answers: Mapping[str, str]
    dropped: Mapping[str, int]
    interrupted: bool = False
    replaced: bool = False


class Talk:
    """Questions to one model or two, their answers, and what is remembered of them.

    Args:
        voices: who answers, in this order.
        settings: how.

    Raises:
        InputError: settings that these voices cannot follow.
    """

    def __init__(self, voices: Sequence[Voice], settings: Settings) -> None:
        self.voices = tuple(voices)
        self.settings = settings
        self.turns: list[Turn] = []
        self._began = 0
        self.set_temperature(settings.temperature)
        self.set_system(settings.system)

    @property
    def labels(self) -> tuple[str, ...]:
        """The voices' names, in their order."""
        return tuple(voice.label for voice in self.voices)

    @property
    def history(self) -> tuple[Turn, ...]:
        """The conversation since it began anew, without answers that were drawn again."""
        return tuple(turn for turn in self.turns[self._began :] if not turn.replaced)

    def set_temperature(self, temperature: float) -> None:
        """Draw the answers to come at this temperature; 0 takes the likeliest tokens.

        Raises:
            InputError: it is out of bounds, or no number.
        """
        if not (temperature == 0 or COOLEST <= temperature <= HOTTEST):
            raise InputError(
                "the temperature is out of bounds",
                where="temperature",
                found=f"{temperature:g}",
                expected=f"0, or from {COOLEST:g} to {HOTTEST:g}",
                fix="0 takes the likeliest token; 0.7 is usual for a draw",
            )
        self.settings = replace(self.settings, temperature=float(temperature))

    def set_system(self, system: str | None) -> None:
        """Begin anew with this system prompt, or none.

        Raises:
            InputError: a voice takes no system prompt; then nothing changes.
        """
        deaf = [voice.label for voice in self.voices if not voice.remembers]
        if system and deaf:
            raise InputError(
                "an encoder-decoder model reads the question alone: it takes no system prompt",
                where="chat",
                found=", ".join(deaf),
                fix="write what it shall know into the question",
            )
        self.settings = replace(self.settings, system=system or None)
        self.reset()

    def reset(self) -> None:
        """Forget the conversation; the system prompt stays."""
        self._began = len(self.turns)
        self._conversations = {
            voice.label: Conversation(
                count=voice.count,
                context=voice.context,
                room=self.settings.max_new_tokens,
                system=self.settings.system,
                remembers=voice.remembers,
            )
            for voice in self.voices
        }

    def ask(self, question: str) -> Asking:
        """Get ready for a question. What no longer fits beside it is forgotten for good.

        Raises:
            InputError: it does not fit into a voice's context; then nothing is forgotten.
        """
        # All must be able to take the question before one forgets or answers.
        asked = {label: talk.ask(question) for label, talk in self._conversations.items()}
        for label, ask in asked.items():
            self._conversations[label].forget_oldest(ask.dropped)
        return Asking(question, asked)

    def ask_again(self) -> Asking:
        """Get ready for the last question once more; its answers are forgotten.

        Raises:
            InputError: nothing was asked yet, or the same answers would come.
        """
        if not self.history or self.turns[-1].replaced:
            raise InputError("there is no question to ask again", where="chat", fix="ask one first")
        last = self.turns[-1]
        if last.temperature == self.settings.temperature == 0 and not last.interrupted:
            raise InputError(
                "at temperature 0 the same answer would come again",
                where="chat",
                expected="a temperature above 0, from which answers are drawn",
                fix="set the temperature to 0.7, say, and draw again",
            )
        for label, answer in last.answers.items():
            if answer:
                self._conversations[label].forget_last()
        self.turns[-1] = replace(last, replaced=True)
        return self.ask(last.question)

    def answer(self, asking: Asking) -> Generator[Piece, None, None]:
        """The answers, one voice after the other. Closing the generator, or Ctrl-C in it, stops them."""
        said: dict[str, list[str]] = {}
        interrupted = True
        settings = self.settings
        # A question asked twice is drawn anew, and a whole talk can be repeated.
        seed = seeds.derive(settings.seed, "chat", len(self.turns) + 1)
        try:
            for voice in self.voices:
                said[voice.label] = []
                yield Piece(voice.label, "")
                pieces = voice.stream(
                    asking.asked[voice.label].messages,
                    max_new_tokens=settings.max_new_tokens,
                    temperature=settings.temperature,
                    seed=seed,
                )
                # Closed at once when it is stopped: two voices may share weights, switched over for one of them.
                with closing(pieces):
                    for text in pieces:
                        said[voice.label].append(text)
                        yield Piece(voice.label, text)
            interrupted = False
        finally:
            answers = {label: "".join(texts) for label, texts in said.items()}
            self._keep(asking, answers, interrupted=interrupted)

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
                    "temperature": turn.temperature,
                    "question": turn.question,
                    "answers": dict(turn.answers),
                    "dropped": dict(turn.dropped),
                    "interrupted": turn.interrupted,
                    "replaced": turn.replaced,
                }
                for turn in self.turns
            ],
        }

    def _keep(self, asking: Asking, answers: Mapping[str, str], *, interrupted: bool) -> None:
        settings = self.settings
        self.turns.append(
            Turn(
                question=asking.question,
                system=settings.system,
                temperature=settings.temperature,
                answers=answers,
                dropped={label: ask.dropped for label, ask in asking.asked.items()},
                interrupted=interrupted,
            )
        )
        for label, answer in answers.items():
            if answer:
                self._conversations[label].hear(asking.question, answer)
