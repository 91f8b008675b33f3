"""The logits of a micro-batch with virtual tokens before every row; they bear no loss and are predicted by nothing."""

from __future__ import annotations

from typing import Any

import torch

from tutelage.models.soft_prompts import SoftPrompt
from tutelage.tokens.batch import FlatBatch


def flat_logits(prompt: SoftPrompt, batch: FlatBatch) -> torch.Tensor:
    """Logits (K, V) of decoder-only rows end to end, each after virtual tokens of its own.

    A prefix stands in a cache, before the whole sequence: with prefix tuning the batch must hold one row.
    """
    if prompt.prefix:
        _check_alone(batch)
        out = prompt.base(
            input_ids=batch.ids,
            position_ids=batch.positions + prompt.length,
            past_key_values=prompt.cache(1),
            logits_to_keep=batch.logits_to_keep,
            use_cache=True,
        )
        return out.logits[0]  # type: ignore[no-any-return]  # transformers is not typed
    first = batch.positions[0] == 0
    rows, n = int(first.sum()), prompt.length
    words = prompt.base.get_input_embeddings()(batch.ids)[0]
    # Where each token comes to stand: after its own row's virtual tokens and those of the rows before.
    own = torch.arange(len(first), device=first.device)
    places = own + n * first.cumsum(0)
    virtual = (places[first] - n)[:, None] + own.new_tensor(range(n))
    size = (len(first) + n * rows, words.shape[1])
    embeddings = words.new_zeros(size).index_copy(0, places, words)
    embeddings = embeddings.index_copy(0, virtual.flatten(), prompt.embeddings(rows).flatten(0, 1))
    positions = own.new_empty(size[0])
    positions[places] = batch.positions[0] + n
    positions[virtual.flatten()] = own.new_tensor(range(n)).repeat(rows)
    out = prompt.base(
        inputs_embeds=embeddings[None],
        position_ids=positions[None],
        logits_to_keep=places[batch.logits_to_keep],
        use_cache=False,
    )
    return out.logits[0]  # type: ignore[no-any-return]  # transformers is not typed


def pair_inputs(prompt: SoftPrompt, source: torch.Tensor, mask: torch.Tensor) -> dict[str, Any]:
    """What an encoder-decoder model is given for its source (B, S): a prompt goes to the encoder, a prefix to the decoder."""
    if prompt.prefix:
        cache = prompt.cache(len(source))
        return {"input_ids": source, "attention_mask": mask, "past_key_values": cache, "use_cache": True}
    given = {"inputs_embeds": prompt.before(source), "attention_mask": prompt.mask(mask)}
    return {**given, "use_cache": False}


def _check_alone(batch: FlatBatch) -> None:
    if int((batch.positions == 0).sum()) != 1:
        raise ValueError("a prefix stands before one row only: rows must go through the model one at a time")
