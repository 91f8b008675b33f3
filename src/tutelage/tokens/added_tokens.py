"""What a tokenizer writes around a text: T5's end token, BART's start and end, Llama 2's start."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tutelage.core.errors import InputError
from tutelage.tokens import chat_encoding


class AddedTokens(NamedTuple):
    """The ids that a tokenizer adds around a text: T5's adds </s> at the end, BART's <s> at the start too, Llama 2's <s>."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


def added_with_end(tokenizer: Any, side: Literal["text", "text_target"]) -> AddedTokens:
    """What the tokenizer adds to a text, with the eos token at the end where it adds nothing there.

    Raises:
        InputError: there is no token to end with.
    """
    prefix, suffix = added_tokens(tokenizer, side)
    if not suffix and tokenizer.eos_token_id is None:
        raise InputError(
            "the tokenizer has no end token, so the model could not learn when to stop",
            where="model",
            found="eos_token: none",
            expected="an eos token in tokenizer_config.json",
            fix="use a model whose tokenizer has one",
        )
    return AddedTokens(prefix, suffix or (int(tokenizer.eos_token_id),))


def added_tokens(tokenizer: Any, side: Literal["text", "text_target"]) -> AddedTokens:
    """What the tokenizer adds to a text, found by looking for a text's bare ids in what it gives."""
    bare = chat_encoding.encode_text(tokenizer, "a", control=False)
    ids = list(tokenizer(**{side: "a"})["input_ids"])
    start = next((i for i in range(len(ids)) if ids[i : i + len(bare)] == bare), 0)
    return AddedTokens(tuple(ids[:start]), tuple(ids[start + len(bare) :]))
