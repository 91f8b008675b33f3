"""The models that answer in a chat: one, or two side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from tutelage.chat.conversation import Message
from tutelage.core.clock import Clock
from tutelage.core.errors import InputError

if TYPE_CHECKING:
    from tutelage.models import LoadedModel
    from tutelage.models.bundled import Say

BASE = "base"


class ModelResponder:
    """A model that answers in a chat: a loaded one or, with `base`, the same weights with the adapter switched off.

    Attributes:
        label: what its answers are marked with.
        model: the name of the model.
        context: how many tokens it can read and write together; None is no limit.
        remembers: whether it reads earlier exchanges and a system prompt.
    """

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
        return len(self._engine.conversation_ids(messages))

    def stream(
        self, messages: Sequence[Message], *, max_new_tokens: int, temperature: float, seed: int
    ) -> Generator[str, None, None]:
        """Its answer, piece by piece; it stops when the generator is closed."""
        from tutelage.models import adapter_off

        with adapter_off(self._loaded) if self._base else nullcontext():
            yield from self._engine.stream(
                messages, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
            )


def load_responders(
    model: str, *, against: str | None = None, chat_template: str | None = None, say: Say | None = None
) -> tuple[ModelResponder, ...]:
    """Load the model of a chat, and the one to compare it with.

    Args:
        model: the name of a model, as `models.resolve` takes it.
        against: None; `base` for what the model was tuned from, with the same chat template; or another model's name, with that
            model's template.
        chat_template: Jinja text to use for `model` (and its base) instead of the model's own.
        say: called with a line for each step that takes long.

    Raises:
        InputError: a name that is no model, `base` for a model that was not tuned, or no chat template.
    """
    from tutelage.models import base_of, load, resolve
    from tutelage.models.bundled import silent

    say = say or silent
    source = resolve(model, say=say)
    clock = Clock()  # both models read the same time
    loaded = load(source, chat_template=chat_template, clock=clock)
    for note in source.notes:
        say(note)
    if against is None:
        return (ModelResponder(loaded, label="answer"),)
    if against != BASE:
        if against == model:
            raise InputError(
                "a model against itself", where="--against", found=against, fix="name another model"
            )
        other = load(resolve(against, say=say), clock=clock)
        return ModelResponder(loaded, label=model), ModelResponder(other, label=against)
    if loaded.adapter:
        return ModelResponder(loaded, label="tuned"), ModelResponder(loaded, label=BASE, base=True)
    base_source = base_of(source, say=say, fix="name the base model itself: --against MODEL")
    base = load(base_source, chat_template=loaded.chat_template, clock=clock)
    return ModelResponder(loaded, label="tuned"), ModelResponder(base, label=BASE)
