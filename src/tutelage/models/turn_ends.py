"""Adds the end of a chat template's turns to the ends that a saved model states.

Some models end their turns with a token that their generation settings do not name (Gemma 1.1, the base models of Qwen2.5). What
was tuned to end its answers so would go on talking in every program that reads generation_config.json.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tutelage.models.special_tokens import choose_pad_token
from tutelage.tokens import chat_encoding
from tutelage.tokens.answer_turn import answer_turn

if TYPE_CHECKING:
    from tutelage.models.load import LoadedModel


def unstated_turn_end(tokenizer: Any, ends: Sequence[int], *, encoder_decoder: bool) -> int | None:
    """The token that ends a turn of the tokenizer's chat template, where it is not among the ends; None where it is.

    Args:
        tokenizer: with the chat template in use.
        ends: the ids that end an answer by the settings of model and tokenizer.
        encoder_decoder: whether the model is one, which has no turns.
    """
    if encoder_decoder or not tokenizer.chat_template:
        return None
    end = answer_turn(tokenizer).end
    if not end:
        return None
    end_id = chat_encoding.encode_text(tokenizer, end, control=True)[-1]
    return None if end_id in ends else end_id


@contextmanager
def stated(loaded: LoadedModel) -> Iterator[bool]:
    """While the block runs, the model's settings name the end of its template's turns; whether they did not before."""
    model = loaded.model.get_base_model() if loaded.adapter else loaded.model
    end_id = unstated_turn_end(loaded.tokenizer, loaded.ends, encoder_decoder=loaded.encoder_decoder)
    if end_id is None:
        yield False
        return
    ends = (*loaded.ends, end_id)
    config, tokenizer = model.config, loaded.tokenizer
    before = model.generation_config, config.eos_token_id, config.pad_token_id, tokenizer.pad_token
    model.generation_config = copy.deepcopy(model.generation_config)
    model.generation_config.eos_token_id = config.eos_token_id = list(ends)
    if tokenizer.pad_token_id == end_id:  # what ends answers may not pad
        model.generation_config.pad_token_id = config.pad_token_id = choose_pad_token(tokenizer, ends)
    try:
        yield True
    finally:
        model.generation_config, config.eos_token_id, config.pad_token_id, tokenizer.pad_token = before
