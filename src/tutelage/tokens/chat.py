"""Chat templates: the model's own, a bundled one by name, or a file; and text that stays text.

The template that a run uses is written into the tokenizer, so that training, evaluation, chat and the saved model
render the same. What a user or a data row wrote never becomes a control token: where such a text spells one, the
pieces of the template and the text are encoded apart, the text with special tokens switched off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError, nearest

Message = Mapping[str, str]
_MARK = "\ue0f1{}\ue0f2"


def names() -> list[str]:
    """The bundled templates' names."""
    folder = files("tutelage.tokens").joinpath("templates")
    return sorted(p.name.removesuffix(".jinja") for p in folder.iterdir() if p.name.endswith(".jinja"))


def text_of(name: str, *, root: Path) -> str:
    """A template's text by bundled name or by a file's path relative to `root`.

    Raises:
        InputError: the name is neither.
    """
    if name in names():
        return files("tutelage.tokens").joinpath("templates", f"{name}.jinja").read_text("utf-8")
    path = root / name
    if path.is_file():
        return path.read_text("utf-8")
    close = nearest(name, names())
    raise InputError(
        "unknown chat template",
        where="chat_template",
        found=repr(name),
        expected=f"one of {', '.join(names())}, or the path of a Jinja file",
        fix=f"did you mean {close!r}?" if close else None,
    )


def render(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> str:
    """The conversation as text, with the assistant's turn opened when `generate`."""
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=generate)
    return str(text)


def encode_messages(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> list[int]:
    """Token ids of a conversation; no content becomes a control token, whatever it spells."""
    if not any(spells_control(tokenizer, message["content"]) for message in messages):
        return encode_text(tokenizer, render(tokenizer, messages, generate=generate), control=True)
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
    return list(encoded["input_ids"])


def spells_control(tokenizer: Any, text: str) -> bool:
    """Whether a text holds the spelling of one of the tokenizer's special tokens."""
    return any(token in text for token in tokenizer.all_special_tokens)


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
    ends = [tail.find(token) + len(token) for token in tokenizer.all_special_tokens if token in tail]
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
