"""Texts to token ids as lm-evaluation-harness's HF backend encodes them, so that both score the same tokens.

The rules are those of lm_eval/api/model.py (TemplateLM) and lm_eval/models/huggingface.py (HFLM) of version 0.4.13. Control tokens
that a text spells are read as such: lm-eval renders chat templates itself, and hands over the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten


class EncodedPair(NamedTuple):
    """The ids that the model reads, and the ids that are scored behind them."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


class HarnessEncoder:
    """Encodes contexts and continuations for one model.

    Args:
        tokenizer: a fast transformers tokenizer.
        encoder_decoder: whether the context goes to an encoder of its own.
        max_length: how many tokens the model reads; of an encoder-decoder model, on each side.

    Raises:
        InputError: the tokenizer has neither a bos nor an eos token.
    """

    def __init__(self, tokenizer: Any, *, encoder_decoder: bool, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._encoder_decoder = encoder_decoder
        self.max_length = max_length
        ids = [token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None]
        if not ids:
            raise InputError(
                "a text without a context has nothing before it",
                where="the tokenizer",
                found="neither bos_token nor eos_token",
                expected="one of them in tokenizer_config.json",
                fix="use a model whose tokenizer has one",
            )
        self.first_id = int(ids[0])
        """The token before a text that has no context: bos, else eos."""
        self._first_text = str(tokenizer.decode(self.first_id))

    def ids(self, text: str, *, add_special_tokens: bool | None = None) -> list[int]:
        """The ids of a text.

        Args:
            text: the text.
            add_special_tokens: whether the tokenizer adds its own; None: it does unless the text already begins with the first one.
        """
        if add_special_tokens is None and text.startswith(self._first_text):
            add_special_tokens = False
        return self._encode(text, add_special_tokens=add_special_tokens)

    def pair(self, context: str, continuation: str) -> EncodedPair:
        """Encode a context and its continuation, before any truncation.

        Space at the context's end goes to the continuation. A decoder-only model's continuation is what the ids of the whole text
        have behind the number of ids of the context.
        """
        if not context:
            answer = self.ids(continuation, add_special_tokens=False)
            if answer[:1] == [self.first_id]:
                return EncodedPair(tuple(answer[:1]), tuple(answer[1:]))
            return EncodedPair((self.first_id,), tuple(answer))
        stripped = context.rstrip()
        prompt = self.ids(stripped)
        if self._encoder_decoder:
            answer = self.ids(context[len(stripped) :] + continuation, add_special_tokens=False)
        else:
            answer = self.ids(context + continuation)[len(prompt) :]
        return EncodedPair(tuple(prompt) or (self.first_id,), tuple(answer))

    def fit(self, pair: EncodedPair) -> EncodedPair:
        """Cut a pair that exceeds the model: the prompt loses its beginning, the answer nothing.

        A decoder does not read the answer's last token, so prompt and answer may have one token more than the model reads.

        Raises:
            InputError: the answer is empty, or longer than the model reads.
        """
        prompt, answer = pair
        if not 0 < len(answer) <= self.max_length:
            raise InputError(
                "a continuation cannot be scored",
                where=f"behind a context that ends with {self._tokenizer.decode(list(prompt))[-60:]!r}",
                found=f"{len(answer)} tokens: {shorten(str(self._tokenizer.decode(list(answer))))}",
                expected=f"1 to {self.max_length} tokens, as many as the model reads",
                fix="leave this document out, or take a model with a longer context",
            )
        room = self.max_length if self._encoder_decoder else self.max_length + 1 - len(answer)
        return EncodedPair(prompt[-room:], answer)

    def windows(self, text: str) -> Iterator[EncodedPair]:
        """Divide a text into pairs in which every token is scored once, each with as much text before it as the model reads."""
        ids, length, start = self.ids(text), self.max_length, 0
        while start < len(ids):
            end = min(start + length, len(ids))
            before = ids[end - length - 1 : start] if start else [self.first_id]
            yield EncodedPair(tuple(before), tuple(ids[start:end]))
            start = end

    def prompt(self, context: str, max_new_tokens: int) -> tuple[list[int], int]:
        """Encode a context whose continuation is generated.

        Args:
            context: the text.
            max_new_tokens: the tokens that must fit behind it, for a decoder-only model.

        Returns:
            The ids, and how many were dropped at the beginning.

        Raises:
            InputError: there is no room for a context.
        """
        room = self.max_length - (0 if self._encoder_decoder else max_new_tokens)
        if room < 1:
            raise InputError(
                "the answer leaves no room for the question",
                where="max_gen_toks",
                found=str(max_new_tokens),
                expected=f"fewer than the {self.max_length} tokens that the model reads",
                fix="lower max_gen_toks in the task's generation_kwargs, or take a model with a longer context",
            )
        bos = self._tokenizer.bos_token
        add_special_tokens = False if not self._encoder_decoder and bos and context.startswith(bos) else None
        ids = self._encode(context, add_special_tokens=add_special_tokens)
        return ids[-room:] or [self.first_id], max(0, len(ids) - room)

    def _encode(self, text: str, *, add_special_tokens: bool | None) -> list[int]:
        keywords = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        return list(self._tokenizer.encode(text, **keywords))
