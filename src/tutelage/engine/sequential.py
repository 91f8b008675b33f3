"""One request at a time: the reference for the faster paths, and the fallback for models that take none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tutelage.engine.padded_batch import PaddedBatch
from tutelage.engine.scoring import forward_logits, log_probabilities

Prefill = Callable[[Sequence[Sequence[int]]], PaddedBatch]
"""Runs prompts through a model as one padded batch on a KV cache."""


@dataclass(frozen=True, slots=True)
class FullPass:
    """Runs a whole text through the model at once, without a KV cache: slow, and right for every model.

    Attributes:
        model: in evaluation mode; a peft model puts its own virtual tokens before the text.
        encoder_decoder: whether the prompt goes to an encoder.
        answer_prefix: tokens before every answer of a decoder, behind its start token.
    """

    model: Any
    encoder_decoder: bool
    answer_prefix: tuple[int, ...] = ()

    def logits(self, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
        """Logits behind every token that the decoder reads, (T, V); the last row predicts the token behind `answer`."""
        device = self.model.device
        if self.encoder_decoder:
            start = [self.model.config.decoder_start_token_id, *self.answer_prefix]
            inputs = {
                "input_ids": torch.tensor([list(prompt)], device=device),
                "decoder_input_ids": torch.tensor([[*start, *answer]], device=device),
            }
        else:
            inputs = {"input_ids": torch.tensor([[*prompt, *answer]], device=device)}
        return forward_logits(self.model, **inputs, use_cache=False)[0]

    def log_probability(self, prompt: Sequence[int], answer: Sequence[int]) -> float:
        """Summed log-probability (nats) of an answer's tokens behind a prompt."""
        rows = log_probabilities(self.logits(prompt, answer[:-1])[-len(answer) :])
        return float(sum(float(rows[n, token]) for n, token in enumerate(answer)))


def next_token_logits(
    full_pass: FullPass, prefill: Prefill, prompt: Sequence[int], *, cached: bool
) -> Callable[[Sequence[int]], torch.Tensor]:
    """A function from an answer's tokens so far to the logits (V,) of the next one.

    Args:
        full_pass: the model.
        prefill: the same model on a cache.
        prompt: what is answered.
        cached: whether each call feeds only the answer's last token, and so must get one token more than the call before;
            else every call reads the whole text.
    """
    if not cached:
        return lambda answer: full_pass.logits(prompt, answer)[-1]
    batch: PaddedBatch | None = None

    def logits(answer: Sequence[int]) -> torch.Tensor:
        nonlocal batch
        if batch is None:
            batch = prefill([prompt])
            return batch.logits[0]
        return batch.feed(torch.tensor([[answer[-1]]], device=batch.logits.device))[0, -1]

    return logits
