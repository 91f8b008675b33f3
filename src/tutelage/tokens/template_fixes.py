"""Which other chat template would do: each bundled one is tried on the very conversations before an error advises it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.core.clock import Instant
from tutelage.templates import chat_renderer
from tutelage.templates.chat_environment import RenderedChat
from tutelage.tokens.chat_templates import bundled_names, complete, template_text
from tutelage.tokens.special_spellings import special_spellings

Message = Mapping[str, str]
MAX_TRIED = 50
"""Conversations on which a template is tried."""
OWN, SYSTEM_IN_USER = "own", "system-in-user"
_ABOUT = {
    SYSTEM_IN_USER: "the model's own turns, the system prompt before the first user's words",
    "chatml-plain": "ChatML turns",
    "plain-bos": "the start token, the prompt, a line break, then the answer, without turns",
    "plain": "the prompt, a line break, then the answer, without turns",
}
"""The bundled templates, those that keep more of the model's own turns first."""
_ANSWER = "\ue0f1answer\ue0f2"


def advice(
    tokenizer: Any, conversations: Sequence[Sequence[Message]], instant: Instant, *, own: str | None = None
) -> str:
    """Say which chat templates write all these conversations, for the fix of an error.

    Args:
        tokenizer: with the template that does not do.
        conversations: what has to be written, each up to a question.
        instant: what a template's clock shows.
        own: the model's own template, where another one is in use; None where it is in use, or there is none.
    """
    names = working_templates(tokenizer, conversations, instant, own=own)
    if not names:
        return (
            "no bundled template writes this for this tokenizer: write one as a .jinja file that ends turns with "
            "a special token of the model, and name the file in `chat_template`; or take another model"
        )
    first, *others = names
    also = f"; {' and '.join(others)} would do as well" if others else ""
    if first == OWN:
        return f"leave `chat_template` out: the model's own template writes this{also}"
    return f"write `chat_template: {first}` into the recipe, or give --chat-template {first}: {_ABOUT[first]}{also}"


def working_templates(
    tokenizer: Any, conversations: Sequence[Sequence[Message]], instant: Instant, *, own: str | None = None
) -> list[str]:
    """The templates that can be trained on these conversations and write every word of them, the closest first; as `advice`."""
    tried = conversations[:MAX_TRIED]
    texts = {name: template_text(name, root=Path()) for name in sorted(bundled_names(), key=_closeness)}
    base = own or tokenizer.chat_template
    if base and any(talk[0]["role"] == "system" for talk in tried):
        texts[SYSTEM_IN_USER] = complete(texts[SYSTEM_IN_USER], base)
    else:
        del texts[SYSTEM_IN_USER]
    if own is not None:
        texts = {OWN: own, **texts}
    return [name for name, text in texts.items() if _works(tokenizer, text, tried, instant)]


def _closeness(name: str) -> int:
    return list(_ABOUT).index(name)


def _works(
    tokenizer: Any, template: str, conversations: Sequence[Sequence[Message]], instant: Instant
) -> bool:
    answer = {"role": "assistant", "content": _ANSWER}
    finished = [[*conversation, answer] for conversation in conversations]
    opened_texts = _texts(tokenizer, template, conversations, instant, generate=True)
    finished_texts = _texts(tokenizer, template, finished, instant, generate=False)
    if opened_texts is None or finished_texts is None:
        return False
    return all(
        all(message["content"] in opened for message in conversation)
        and whole.startswith(opened)
        and _ends_turn(tokenizer, whole)
        and starts_right(tokenizer, opened)
        for conversation, opened, whole in zip(conversations, opened_texts, finished_texts, strict=True)
    )


def _texts(
    tokenizer: Any,
    template: str,
    conversations: Sequence[Sequence[Message]],
    instant: Instant,
    *,
    generate: bool,
) -> list[str] | None:
    variables = {"add_generation_prompt": generate, **tokenizer.special_tokens_map}
    outcomes = chat_renderer.render(template, conversations, variables, instant)
    texts = [outcome.text for outcome in outcomes if isinstance(outcome, RenderedChat)]
    return texts if len(texts) == len(conversations) else None


def _ends_turn(tokenizer: Any, finished: str) -> bool:
    behind = finished.partition(_ANSWER)[2]
    return any(token in behind for token in special_spellings(tokenizer).values() if token)


def starts_right(tokenizer: Any, text: str) -> bool:
    """Whether a rendered text has the start token that the tokenizer writes before every text, and has it once."""
    start = start_token(tokenizer)
    return start is None or (text.startswith(start) and not text.startswith(2 * start))


def start_token(tokenizer: Any) -> str | None:
    """The bos token, where the tokenizer writes it before every text; else None."""
    bos = tokenizer.bos_token_id
    return str(tokenizer.bos_token) if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else None
