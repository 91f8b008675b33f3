"""The plain way to ask a model: one request at a time, every pass over the whole text, no cache.

It is right for every model and slow, so it is the reference that quicker ways are tried against, and what is left for
models that take none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tutelage.engine.scoring import log_probabilities


@dataclass(frozen=True, slots=True)
class Plain:
    """A model that is asked by whole passes.

    Attributes:
        model: in evaluation mode; a peft model puts its own virtual tokens before the text.
        encoder_decoder: whether the prompt goes to an encoder.
        answer_prefix: tokens that stand before every answer of a decoder, behind its start token.
    """

    model: Any
    encoder_decoder: bool
    answer_prefix: tuple[int, ...] = ()

    def logits(self, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
        """Logits behind every token that the model reads, (T, V); the last row is for the token behind `answer`."""
        device = self.model.device
        if self.encoder_decoder:
            begin = [self.model.config.decoder_start_token_id, *self.answer_prefix]
            out = self.model(
                input_ids=torch.tensor([list(prompt)], device=device),
                decoder_input_ids=torch.tensor([[*begin, *answer]], device=device),
                use_cache=False,
            )
        else:
            out = self.model(input_ids=torch.tensor([[*prompt, *answer]], device=device), use_cache=False)
        logits: torch.Tensor = out.logits[0]
        return logits

    def log_probability(self, prompt: Sequence[int], answer: Sequence[int]) -> float:
        """Summed log-probability (nats) of an answer's tokens behind a prompt."""
        after = log_probabilities(self.logits(prompt, answer[:-1])[-len(answer) :])
        return float(sum(float(after[n, token]) for n, token in enumerate(answer)))
