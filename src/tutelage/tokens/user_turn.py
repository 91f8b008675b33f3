"""The user's turn of a chat template, for a model that is to write it itself: what stands before its content, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tutelage.core.errors import InputError
from tutelage.tokens import chat_encoding
from tutelage.tokens.rendering import MARK, render


@dataclass(frozen=True, slots=True)
class UserTurn:
    """How a chat template begins and ends the first turn of a user.

    Attributes:
        opening: the ids of all that stands before the content, a system prompt included; empty where nothing does.
        end_id: the special token that ends the turn; None where a text does.
        end_text: the text that ends it, such as ` [/INST]`; "" where a special token does.
    """

    opening: tuple[int, ...]
    end_id: int | None
    end_text: str


def user_turn(tokenizer: Any) -> UserTurn:
    """Read the user's turn off a tokenizer's chat template.

    A special token directly behind the content ends the turn; else the text up to the first special token or the answer does.

    Raises:
        InputError: there is no chat template, it changes the content, or it writes nothing behind it.
    """
    rendered = render(tokenizer, [{"role": "user", "content": MARK.format(0)}], generate=True)
    before, mark, after = rendered.partition(MARK.format(0))
    if not mark or not after:
        raise InputError(
            "the chat template does not show where a user's turn ends, so no prompt can be sampled",
            where="chat_template",
            found=repr(rendered),
            expected="the content of the turn as it is, and a token or text behind it",
            fix="take protect.self_replay.prompts: bundled, or another chat_template",
        )
    opening = tuple(chat_encoding.encode_text(tokenizer, before, control=True))
    ids = chat_encoding.encode_text(tokenizer, after, control=True)
    control = chat_encoding.control_ids(tokenizer)
    first = next((place for place, token in enumerate(ids) if token in control), len(ids))
    text = tokenizer.decode(ids[:first], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if text.strip() or first == len(ids):
        return UserTurn(opening, None, text.strip() or text)
    return UserTurn(opening, ids[first], "")
