"""Virtual tokens before every row: prompt tuning and prefix tuning, for training and for answering.

peft's own `forward` puts one prompt before a whole sequence and drops the positions it is given; here rows lie end to
end and answers are made token by token on a cache, so the prompt is put in where it belongs. For one row alone both
give the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of a peft model.

    Attributes:
        model: the peft model.
        base: the transformers model below it.
        length: virtual tokens, N.
        prefix: whether they are keys and values of every layer (prefix tuning), or embeddings.
    """

    model: Any
    base: Any
    length: int
    prefix: bool

    def embeddings(self, rows: int) -> torch.Tensor:
        """The virtual tokens' embeddings, (rows, N, width); for an encoder-decoder model those of the encoder."""
        found: torch.Tensor = self.model.get_prompt(batch_size=rows)
        return found[:, : self.length].to(self.base.get_input_embeddings().weight.dtype)

    def before(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of the virtual tokens and of `ids` (B, T) after them: (B, N + T, width)."""
        words = self.base.get_input_embeddings()(ids)
        return torch.cat([self.embeddings(len(ids)), words], dim=1)

    def cache(self, rows: int) -> Any:
        """A fresh cache that holds the prefix for so many rows."""
        return self.model.get_prompt(rows)

    def mask(self, mask: torch.Tensor) -> torch.Tensor:
        """An attention mask (B, T) with the virtual tokens before it: (B, N + T)."""
        return torch.cat([mask.new_ones(len(mask), self.length), mask], dim=1)


def of(model: Any) -> Prompt | None:
    """A model's prompt; None for a model that has none, or whose adapter is switched off."""
    if not getattr(model, "_is_prompt_learning", False) or not model.has_active_enabled_adapter:
        return None
    config = model.active_peft_config
    return Prompt(model, model.get_base_model(), config.num_virtual_tokens, "PREFIX" in str(config.peft_type))


def length(model: Any) -> int:
    """The virtual tokens before each row; 0 for a model without a prompt."""
    prompt = of(model)
    return 0 if prompt is None else prompt.length
