"""Soft prompts: the virtual tokens of prompt tuning and prefix tuning before every row, in training and inference.

peft's own `forward` puts one prompt before a whole sequence and ignores position ids; here rows lie end to end and
answers are generated on a KV cache, so the prompt is inserted before each row. For a single row both give the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class SoftPrompt:
    """The soft prompt of a peft model.

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
        embeddings: torch.Tensor = self.model.get_prompt(batch_size=rows)
        return embeddings[:, : self.length].to(self.base.get_input_embeddings().weight.dtype)

    def before(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of the virtual tokens and of `ids` (B, T) after them: (B, N + T, width)."""
        return torch.cat([self.embeddings(len(ids)), self.base.get_input_embeddings()(ids)], dim=1)

    def cache(self, rows: int) -> Any:
        """A new KV cache with the prefix, for a number of rows."""
        return self.model.get_prompt(rows)

    def mask(self, mask: torch.Tensor) -> torch.Tensor:
        """An attention mask (B, T) extended to the virtual tokens before it: (B, N + T)."""
        return torch.cat([mask.new_ones(len(mask), self.length), mask], dim=1)


def soft_prompt(model: Any) -> SoftPrompt | None:
    """The soft prompt of a model; None where it has none, or its adapter is switched off."""
    if not getattr(model, "_is_prompt_learning", False) or not model.has_active_enabled_adapter:
        return None
    config = model.active_peft_config
    return SoftPrompt(
        model, model.get_base_model(), config.num_virtual_tokens, "PREFIX" in str(config.peft_type)
    )
