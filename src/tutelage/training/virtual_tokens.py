"""The logits of a micro-batch with virtual tokens before every row. Virtual tokens have no loss."""

from __future__ import annotations

from typing import Any

import torch

from tutelage.models.soft_prompts import SoftPrompt
from tutelage.tokens.batch import FlatBatch


def flat_logits(prompt: SoftPrompt, batch: FlatBatch) -> torch.Tensor:
    """Logits (K, V) of decoder-only rows end to end, with virtual tokens before each row.

    A prefix is a KV cache before the whole sequence: with prefix tuning the batch must hold one row.
    """
    if prompt.prefix:
        if int((batch.positions == 0).sum()) != 1:
            raise ValueError("a prefix precedes one row only: rows must go through the model one at a time")
        inputs = {
            "input_ids": batch.ids,
            "position_ids": batch.positions + prompt.length,
            "past_key_values": prompt.cache(1),
            "logits_to_keep": batch.logits_to_keep,
        }
    else:
        inputs = _with_virtual_tokens(prompt, batch)
    out = prompt.base(**inputs, use_cache=prompt.prefix)
    return out.logits[0]  # type: ignore[no-any-return]  # transformers is not typed


def _with_virtual_tokens(prompt: SoftPrompt, batch: FlatBatch) -> dict[str, torch.Tensor]:
    """The inputs of a model for rows end to end, with trained embeddings before each row."""
    starts = batch.positions[0] == 0
    rows, length = int(starts.sum()), prompt.length
    token_embeddings = prompt.base.get_input_embeddings()(batch.ids)[0]
    # A token moves back by the virtual tokens of its own row and of all rows before it.
    indices = torch.arange(len(starts), device=starts.device)
    token_indices = indices + length * starts.cumsum(0)
    offsets = indices.new_tensor(range(length))
    virtual_indices = ((token_indices[starts] - length)[:, None] + offsets).flatten()
    total = len(starts) + length * rows
    embeddings = token_embeddings.new_zeros(total, token_embeddings.shape[1])
    embeddings = embeddings.index_copy(0, token_indices, token_embeddings)
    embeddings = embeddings.index_copy(0, virtual_indices, prompt.embeddings(rows).flatten(0, 1))
    positions = indices.new_empty(total)
    positions[token_indices] = batch.positions[0] + length
    positions[virtual_indices] = offsets.repeat(rows)
    return {
        "inputs_embeds": embeddings[None],
        "position_ids": positions[None],
        "logits_to_keep": token_indices[batch.logits_to_keep],
    }


def pair_inputs(prompt: SoftPrompt, source: torch.Tensor, mask: torch.Tensor) -> dict[str, Any]:
    """The inputs of an encoder-decoder model for sources (B, S): a prompt precedes the encoder's input, a prefix the decoder's."""
    if prompt.prefix:
        cache = prompt.cache(len(source))
        return {"input_ids": source, "attention_mask": mask, "past_key_values": cache, "use_cache": True}
    return {"inputs_embeds": prompt.before(source), "attention_mask": prompt.mask(mask), "use_cache": False}
