"""Who answers: one model, or two side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

from tutelage.chat.session import Message
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError

if TYPE_CHECKING:
    from tutelage.models import LoadedModel
    from tutelage.models.bundled import Say

BASE = "base"


class Voice(Protocol):
    """One that answers.

    Attributes:
        label: what stands before its answers.
        model: the name of its model.
        context: how many tokens it can read and write together; None is no limit.
        remembers: whether it reads earlier exchanges and a system prompt.
    """

    label: str
    model: str
    context: int | None
    remembers: bool

    def count(self, messages: Sequence[Message]) -> int:
        """How many tokens it reads for these messages."""

    def stream(
        self, messages: Sequence[Message], *, max_new_tokens: int, temperature: float, seed: int
    ) -> Generator[str, None, None]:
        """Its answer, piece by piece; it ends when the generator is closed."""


class ModelVoice:
    """A loaded model that answers; with `base`, the same weights with the adapter switched off."""

    def __init__(self, loaded: LoadedModel, *, label: str, base: bool = False) -> None:
        from tutelage.engine import Engine

        self.label = label
        self.model = loaded.name
        self.context = loaded.context
        self.remembers = not loaded.encoder_decoder
        self._loaded = loaded
        self._base = base
        self._engine = Engine(loaded.model, loaded.tokenizer, encoder_decoder=loaded.encoder_decoder)

    def count(self, messages: Sequence[Message]) -> int:
        """How many tokens the model reads for these messages; an encoder-decoder model reads the last one only."""
        from tutelage.tokens import chat_encoding

        if self._loaded.encoder_decoder:
            return len(self._engine.encoder.prompt_ids(messages[-1]["content"]))
        return len(chat_encoding.encode_messages(self._loaded.tokenizer, messages, generate=True))

    def stream(
        self, messages: Sequence[Message], *, max_new_tokens: int, temperature: float, seed: int
    ) -> Generator[str, None, None]:
        """The answer, piece by piece."""
        from tutelage.models import adapter_off

        with adapter_off(self._loaded) if self._base else nullcontext():
            yield from self._engine.stream(
                messages, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
            )


def voices(
    model: str, *, against: str | None = None, chat_template: str | None = None, say: Say | None = None
) -> tuple[ModelVoice, ...]:
    """Load who shall answer.

    Args:
        model: the name of a model, as `models.resolve` takes it.
        against: None; `base` for what the model was tuned from, asked with the same chat template; or another
            model's name, which is asked with its own template.
        chat_template: Jinja text to use for `model` (and its base) instead of the model's own.
        say: is told, a line at a time, what takes long.

    Raises:
        InputError: a name that is no model, `base` for a model that was not tuned, or no chat template.
    """
    from tutelage.models import base_of, load, resolve
    from tutelage.models.bundled import silent

    tell = say or silent
    source = resolve(model, say=tell)
    clock = Clock()  # both voices are told the same time
    loaded = load(source, chat_template=chat_template, clock=clock)
    for note in source.notes:
        tell(note)
    if against is None:
        return (ModelVoice(loaded, label="answer"),)
    if against != BASE:
        if against == model:
            raise InputError(
                "a model against itself", where="--against", found=against, fix="name another model"
            )
        other = load(resolve(against, say=tell), clock=clock)
        return ModelVoice(loaded, label=model), ModelVoice(other, label=against)
    if loaded.adapter:
        return ModelVoice(loaded, label="tuned"), ModelVoice(loaded, label=BASE, base=True)
    below = base_of(source, say=tell, fix="name the base model itself: --against MODEL")
    base = load(below, chat_template=loaded.chat_template, clock=clock)
    return ModelVoice(loaded, label="tuned"), ModelVoice(base, label=BASE)
