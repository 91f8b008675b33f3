"""A chat with one model or two: questions, answers and settings, for the terminal and the page to show."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from tutelage.chat.conversation import Conversation, ConversationPrompt
from tutelage.chat.responders import ModelResponder
from tutelage.core import seeds
from tutelage.core.errors import InputError

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 5.0


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How answers are generated: greedily at temperature 0, else sampled from the seed."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    system: str | None = None


@dataclass(frozen=True, slots=True)
class PendingQuestion:
    """A question that fits into every model's context, and what each reads for it, by label."""

    question: str
    prompts: Mapping[str, ConversationPrompt]

    @property
    def max_dropped(self) -> int:
        """How many earlier exchanges no longer fit, for the model that loses most."""
        return max(prompt.dropped for prompt in self.prompts.values())


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """Text of one model's answer. The first piece of each model is empty and says that its answer begins."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answers.

    Attributes:
        question: the question.
        system: the system prompt that was in use.
        temperature: at which the answers were generated.
        answers: by model label.
        dropped: earlier exchanges that no longer fitted, by model label.
        interrupted: whether the answers were stopped before their end.
        replaced: whether the next turn samples the answers again.
    """

    question: str
    system: str | None
    temperature: float
    answers: Mapping[str, str]
    dropped: Mapping[str, int]
    interrupted: bool = False
    replaced: bool = False


class ChatSession:
    """Questions to one model or two, their answers, and what each model remembers.

    Args:
        responders: the models, in the order in which they answer.
        settings: of the answers.

    Raises:
        InputError: settings that these models cannot follow.
    """

    def __init__(self, responders: Sequence[ModelResponder], settings: ChatSettings) -> None:
        self.responders = tuple(responders)
        self.settings = settings
        self.turns: list[Turn] = []
        self.set_temperature(settings.temperature)
        self.set_system(settings.system)

    @property
    def labels(self) -> tuple[str, ...]:
        """The models' labels, in their order."""
        return tuple(responder.label for responder in self.responders)

    @property
    def history(self) -> tuple[Turn, ...]:
        """The turns since the last reset, without those whose answers were sampled again."""
        return tuple(turn for turn in self.turns[self._first_turn :] if not turn.replaced)

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of the answers to come; 0 takes the likeliest tokens.

        Raises:
            InputError: it is out of bounds, or not a number.
        """
        if not (temperature == 0 or MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE):
            raise InputError(
                "the temperature is out of bounds",
                where="temperature",
                found=f"{temperature:g}",
                expected=f"0, or from {MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}",
                fix="0 takes the likeliest token; 0.7 is usual for sampling",
            )
        self.settings = replace(self.settings, temperature=float(temperature))

    def set_system(self, system: str | None) -> None:
        """Set or remove the system prompt, and forget the conversation.

        Raises:
            InputError: a model takes no system prompt; then nothing changes.
        """
        without_system = [responder.label for responder in self.responders if not responder.remembers]
        if system and without_system:
            raise InputError(
                "an encoder-decoder model reads the question alone: it takes no system prompt",
                where="chat",
                found=", ".join(without_system),
                fix="write what the model should know into the question",
            )
        self.settings = replace(self.settings, system=system or None)
        self.reset()

    def reset(self) -> None:
        """Forget the conversation; the system prompt stays."""
        self._first_turn = len(self.turns)
        self._conversations = {
            responder.label: Conversation(
                count=responder.count,
                context=responder.context,
                max_new_tokens=self.settings.max_new_tokens,
                system=self.settings.system,
                remembers=responder.remembers,
            )
            for responder in self.responders
        }

    def ask(self, question: str) -> PendingQuestion:
        """Prepare a question. Exchanges that no longer fit beside it are forgotten for good.

        Raises:
            InputError: it does not fit into a model's context; then nothing is forgotten.
        """
        # The question must fit into every model's context before one of them forgets anything.
        prompts = {
            label: conversation.prompt(question) for label, conversation in self._conversations.items()
        }
        for label, prompt in prompts.items():
            self._conversations[label].forget_oldest(prompt.dropped)
        return PendingQuestion(question, prompts)

    def ask_again(self) -> PendingQuestion:
        """Prepare the last question once more; its answers are forgotten.

        Raises:
            InputError: there is no last question, or the same answers would come.
        """
        if not self.history or self.turns[-1].replaced:
            raise InputError("there is no question to ask again", where="chat", fix="ask one first")
        last = self.turns[-1]
        if last.temperature == self.settings.temperature == 0 and not last.interrupted:
            raise InputError(
                "at temperature 0 the same answer would come again",
                where="chat",
                expected="a temperature above 0, at which answers are sampled",
                fix="set the temperature to 0.7, say, and ask again",
            )
        for label, answer in last.answers.items():
            if answer:
                self._conversations[label].forget_last()
        self.turns[-1] = replace(last, replaced=True)
        return self.ask(last.question)

    def answer(self, pending: PendingQuestion) -> Generator[AnswerPiece, None, None]:
        """Generate the answers, one model after the other. Closing the generator, or Ctrl-C in it, stops them."""
        texts: dict[str, list[str]] = {}
        interrupted = True
        settings = self.settings
        # By turn, so that a question asked twice is sampled anew, and a whole session can be repeated.
        seed = seeds.derive(settings.seed, "chat", len(self.turns) + 1)
        try:
            for responder in self.responders:
                label = responder.label
                texts[label] = []
                yield AnswerPiece(label, "")
                pieces = responder.stream(
                    pending.prompts[label].messages,
                    max_new_tokens=settings.max_new_tokens,
                    temperature=settings.temperature,
                    seed=seed,
                )
                # Closed at once when it is stopped: two models may share weights, switched over for one of them.
                with closing(pieces):
                    for text in pieces:
                        texts[label].append(text)
                        yield AnswerPiece(label, text)
            interrupted = False
        finally:
            answers = {label: "".join(pieces) for label, pieces in texts.items()}
            dropped = {label: prompt.dropped for label, prompt in pending.prompts.items()}
            self.turns.append(
                Turn(pending.question, settings.system, settings.temperature, answers, dropped, interrupted)
            )
            for label, answer in answers.items():
                if answer:
                    self._conversations[label].append(pending.question, answer)

    def as_json(self) -> dict[str, Any]:
        """The whole session: models, settings, and every question with its answers as the models wrote them."""
        settings = self.settings
        return {
            "schema": 1,
            "models": [{"label": responder.label, "model": responder.model} for responder in self.responders],
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
