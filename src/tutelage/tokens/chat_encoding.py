"""Conversations to token ids, with text that stays text: no content becomes a control token.

The template that a run uses is written into the tokenizer, so that training, evaluation, chat and the saved model
render the same. What a user or a data row wrote never becomes a control token: where such a text spells one, the
pieces of the template and the text are tokenized apart, the text with special tokens switched off. A control token is
one that the tokenizer marks as special, whether or not it has a role such as eos.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from tutelage.core.errors import InputError
from tutelage.core.types import History
from tutelage.tokens.rendering import MARK, Message, render, render_all
from tutelage.tokens.special_spellings import special_spellings


def messages(prompt: str, history: History = ()) -> list[Message]:
    """A prompt and the turns before it as messages."""
    return [{"role": role, "content": content} for role, content in (*history, ("user", prompt))]


def encode_messages(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> list[int]:
    """The token ids of a conversation; no content becomes a control token, whatever it spells.

    Args:
        tokenizer: a fast transformers tokenizer with a chat template.
        messages: the turns.
        generate: open the assistant's turn at the end.

    Raises:
        InputError: the template refuses the conversation; or a content spells a control token and the template changes
            or leaves out contents, so that they cannot be kept apart.
    """
    return encode_conversations(tokenizer, [messages], generate=generate)[0]


def encode_conversations(
    tokenizer: Any, conversations: Sequence[Sequence[Message]], *, generate: bool
) -> list[list[int]]:
    """The token ids of several conversations, each as `encode_messages` gives them."""
    spelling = [
        any(spells_control(tokenizer, message["content"]) for message in conversation)
        for conversation in conversations
    ]
    harmless = [talk for talk, spells in zip(conversations, spelling, strict=True) if not spells]
    texts = iter(render_all(tokenizer, harmless, generate=generate))
    return [
        _encode_apart(tokenizer, conversation, generate=generate)
        if spells
        else encode_text(tokenizer, next(texts), control=True)
        for conversation, spells in zip(conversations, spelling, strict=True)
    ]


def _encode_apart(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> list[int]:
    """Token ids of a conversation whose contents spell control tokens: template and contents are tokenized apart.

    The template is rendered with a mark in place of each content, which shows where its own text ends. Where the tokenizer
    would merge across such a boundary, the ids differ from those of the whole text.
    """
    marked = [{**message, "content": MARK.format(index)} for index, message in enumerate(messages)]
    rest = render(tokenizer, marked, generate=generate)
    ids: list[int] = []
    for index, message in enumerate(messages):
        before, mark, rest = rest.partition(MARK.format(index))
        if not mark:
            raise InputError(
                "this chat template changes or leaves out a message, so a text that spells control tokens "
                "cannot be kept apart from them",
                where="chat_template",
                found=f"message {index} with role {message['role']!r}",
                fix="take the control tokens out of the text, or use a chat template that writes every message as it stands",
            )
        ids += encode_text(tokenizer, before, control=True)
        ids += encode_text(tokenizer, message["content"], control=False)
    return ids + encode_text(tokenizer, rest, control=True)


def encode_text(tokenizer: Any, text: str, *, control: bool) -> list[int]:
    """The token ids of a text, nothing added; with `control` off, special tokens are read as plain text."""
    if not text:
        return []
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=not control)
    ids = list(encoded["input_ids"])
    if control or control_ids(tokenizer).isdisjoint(ids):
        return ids
    return list(_special_tokens(tokenizer).plain_tokenizer.encode(text, add_special_tokens=False).ids)


def spells_control(tokenizer: Any, text: str) -> bool:
    """Whether a text holds a special token when it is tokenized without care."""
    return not control_ids(tokenizer).isdisjoint(encode_text(tokenizer, text, control=True))


def control_ids(tokenizer: Any) -> frozenset[int]:
    """The ids of all special tokens, with a role such as eos or without."""
    return _special_tokens(tokenizer).ids


class _SpecialTokens:
    """The special tokens of one tokenizer, and a copy of the tokenizer without them."""

    def __init__(self, tokenizer: Any) -> None:
        self._backend = tokenizer.backend_tokenizer  # fast tokenizers have one
        spellings = special_spellings(tokenizer)
        self.ids = frozenset(spellings)
        self.spellings = tuple(text for text in spellings.values() if text)

    @cached_property
    def plain_tokenizer(self) -> Any:
        """A copy of the tokenizer that knows no special token.

        Switching special tokens off is not enough where the model's own vocabulary has them too, as in T5's:
        there the text `</s>` would still be read as one piece. In the copy such a piece has a random name.
        """
        from tokenizers import Tokenizer

        settings = json.loads(self._backend.to_str())
        hidden = {name: secrets.token_hex(16) for name in self.spellings}
        settings["added_tokens"] = [t for t in settings["added_tokens"] if not t["special"]]
        settings["post_processor"] = settings["truncation"] = settings["padding"] = None
        vocab = settings["model"]["vocab"]
        if isinstance(vocab, dict):
            settings["model"]["vocab"] = {hidden.get(piece, piece): i for piece, i in vocab.items()}
        else:  # Unigram: pieces with their log-probabilities
            settings["model"]["vocab"] = [[hidden.get(piece, piece), score] for piece, score in vocab]
        return Tokenizer.from_str(json.dumps(settings))


_CACHE: WeakKeyDictionary[Any, tuple[list[int], _SpecialTokens]] = WeakKeyDictionary()


def _special_tokens(tokenizer: Any) -> _SpecialTokens:
    """The special tokens of a tokenizer, read again when they have changed."""
    ids, special_tokens = _CACHE.get(tokenizer, (None, None))
    if special_tokens is None or ids != tokenizer.all_special_ids:
        special_tokens = _SpecialTokens(tokenizer)
        _CACHE[tokenizer] = (list(tokenizer.all_special_ids), special_tokens)
    return special_tokens
