"""Chat templates: the model's own, a bundled one by name, or a file; and text that stays text.

The template that a run uses is written into the tokenizer, so that training, evaluation, chat and the saved model
render the same. What a user or a data row wrote never becomes a control token: where such a text spells one, the
pieces of the template and the text are encoded apart, the text with special tokens switched off. A control token is
one that the tokenizer marks as special, whether or not it has a role such as eos.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from tutelage.core import regular
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import History
from tutelage.tokens.rendering import MARK as _MARK
from tutelage.tokens.rendering import Message, render, render_all

__all__ = [
    "Message",
    "control_ids",
    "encode_conversations",
    "encode_messages",
    "encode_text",
    "messages",
    "names",
    "render",
    "render_all",
    "spells_control",
    "text_of",
    "turn_end",
]


def names() -> list[str]:
    """The bundled templates' names."""
    folder = files("tutelage.tokens").joinpath("templates")
    return sorted(p.name.removesuffix(".jinja") for p in folder.iterdir() if p.name.endswith(".jinja"))


def text_of(name: str, *, root: Path) -> str:
    """A template's text by bundled name or by a file's path relative to `root`.

    Raises:
        InputError: the name is neither, or the file cannot be read.
    """
    if name in names():
        return files("tutelage.tokens").joinpath("templates", f"{name}.jinja").read_text("utf-8")
    path = root / name
    if os.path.lexists(path) or "/" in name or path.suffix in (".jinja", ".j2"):
        return _read(path, name)
    raise InputError(
        "unknown chat template",
        where="chat_template",
        found=repr(name),
        expected=f"one of {', '.join(names())}, or the path of a Jinja file",
        fix=did_you_mean(name, names(), form="{!r}"),
    )


def _read(path: Path, name: str) -> str:
    fix = f"name one of {', '.join(names())}, or a file relative to the recipe"
    content = regular.read_regular(path, what="the chat template", fix=fix, limit=MAX_RECIPE_BYTES)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            "the chat template is not UTF-8",
            where=f"{path}:{content.count(10, 0, error.start) + 1}",
            found=f"0x{content[error.start]:02x} at byte {error.start + 1} of {name}",
            expected="UTF-8",
            fix="save the file as UTF-8",
        ) from None


def messages(prompt: str, history: History = ()) -> list[Message]:
    """A prompt and what was said before it, as messages."""
    return [{"role": role, "content": content} for role, content in (*history, ("user", prompt))]


def encode_messages(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> list[int]:
    """Token ids of a conversation; no content becomes a control token, whatever it spells."""
    return encode_conversations(tokenizer, [messages], generate=generate)[0]


def encode_conversations(
    tokenizer: Any, talks: Sequence[Sequence[Message]], *, generate: bool
) -> list[list[int]]:
    """Token ids of several conversations, each as `encode_messages` gives them."""
    harmless = [not any(spells_control(tokenizer, message["content"]) for message in talk) for talk in talks]
    texts = iter(
        render_all(
            tokenizer, [talk for talk, plain in zip(talks, harmless, strict=True) if plain], generate=generate
        )
    )
    return [
        encode_text(tokenizer, next(texts), control=True)
        if plain
        else _encode_apart(tokenizer, talk, generate=generate)
        for talk, plain in zip(talks, harmless, strict=True)
    ]


def _encode_apart(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> list[int]:
    """Token ids of a conversation whose contents spell control tokens: template and contents are encoded apart."""
    marked = [{**m, "content": _MARK.format(i)} for i, m in enumerate(messages)]
    rest = render(tokenizer, marked, generate=generate)
    ids: list[int] = []
    for i, message in enumerate(messages):
        head, found, rest = rest.partition(_MARK.format(i))
        if not found:
            raise InputError(
                "this chat template changes or leaves out a message, so a text that spells control tokens "
                "cannot be kept apart from them",
                where="chat_template",
                found=f"message {i} with role {message['role']!r}",
                fix="use another chat template, or take the control tokens out of the text",
            )
        ids += encode_text(tokenizer, head, control=True)
        ids += encode_text(tokenizer, message["content"], control=False)
    return ids + encode_text(tokenizer, rest, control=True)


def encode_text(tokenizer: Any, text: str, *, control: bool) -> list[int]:
    """Token ids of a text as it stands, nothing added; with `control` off, special tokens are read as plain text."""
    if not text:
        return []
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=not control)
    ids = list(encoded["input_ids"])
    if control or control_ids(tokenizer).isdisjoint(ids):
        return ids
    return list(_tables(tokenizer).plain().encode(text, add_special_tokens=False).ids)


def spells_control(tokenizer: Any, text: str) -> bool:
    """Whether a text, read carelessly, would hold one of the tokenizer's special tokens."""
    return not control_ids(tokenizer).isdisjoint(encode_text(tokenizer, text, control=True))


def control_ids(tokenizer: Any) -> frozenset[int]:
    """The ids of all special tokens, with a role such as eos or without."""
    return _tables(tokenizer).ids


def turn_end(tokenizer: Any) -> str:
    """What the template writes after the assistant's words, up to the end of its turn.

    Raises:
        InputError: the template ends no turn, or opens the assistant's turn otherwise in training than in use.
    """
    user = {"role": "user", "content": "a"}
    opened = render(tokenizer, [user], generate=True)
    mark = _MARK.format(0)
    whole = render(tokenizer, [user, {"role": "assistant", "content": mark}], generate=False)
    head, found, tail = whole.partition(mark)
    if not found or head != opened:
        raise InputError(
            "the chat template renders a finished conversation otherwise than an open one, "
            "so what is trained would not be what is asked",
            where="chat_template",
            found=f"open: {opened!r}; finished: {head!r}",
            expected="the finished text to begin with the open one",
            fix="name another template in `chat_template`, such as " + " or ".join(names()),
        )
    ends = [tail.find(token) + len(token) for token in _tables(tokenizer).spellings if token in tail]
    if not ends:
        raise InputError(
            "the chat template does not end the assistant's turn with a special token, "
            "so the model could not learn when to stop",
            where="chat_template",
            found=repr(tail),
            expected="an end-of-turn token such as the tokenizer's eos token",
            fix="name another template in `chat_template`",
        )
    return tail[: min(ends)]


class _Tables:
    """What is asked of one tokenizer again and again."""

    def __init__(self, tokenizer: Any) -> None:
        self._backend = tokenizer.backend_tokenizer  # fast tokenizers have one
        self._plain: Any = None
        added = {i: str(t) for i, t in tokenizer.added_tokens_decoder.items() if t.special}
        named = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        added.update((i, str(t)) for i, t in named if i is not None)
        self.ids = frozenset(added)
        self.spellings = tuple(text for text in added.values() if text)

    def plain(self) -> Any:
        """A copy of the tokenizer that knows no special token.

        Switching special tokens off is not enough where they stand in the model's own vocabulary too, as in T5's:
        there the text `</s>` would still be read as one piece.
        """
        if self._plain is None:
            from tokenizers import Tokenizer

            whole = json.loads(self._backend.to_str())
            hidden = {name: secrets.token_hex(16) for name in self.spellings}
            whole["added_tokens"] = [t for t in whole["added_tokens"] if not t["special"]]
            whole["post_processor"] = whole["truncation"] = whole["padding"] = None
            vocab = whole["model"]["vocab"]
            if isinstance(vocab, dict):
                whole["model"]["vocab"] = {hidden.get(k, k): v for k, v in vocab.items()}
            else:
                whole["model"]["vocab"] = [[hidden.get(k, k), score] for k, score in vocab]
            self._plain = Tokenizer.from_str(json.dumps(whole))
        return self._plain


_KNOWN: WeakKeyDictionary[Any, tuple[list[int], _Tables]] = WeakKeyDictionary()


def _tables(tokenizer: Any) -> _Tables:
    """The tables of a tokenizer, made again when its special tokens have changed."""
    state, tables = _KNOWN.get(tokenizer, (None, None))
    if tables is None or state != tokenizer.all_special_ids:
        tables = _Tables(tokenizer)
        _KNOWN[tokenizer] = (list(tokenizer.all_special_ids), tables)
    return tables
