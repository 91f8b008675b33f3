"""A padded batch of sequences on a KV cache, with the same operations for decoder-only and encoder-decoder models."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from tutelage.engine.scoring import forward_logits
from tutelage.models.soft_prompts import soft_prompt


class PaddedDecoderBatch:
    """Sequences of a decoder-only model, padded at the left so that all end in the same column.

    Args:
        model: the model, in evaluation mode.
        prompts: token ids of each row, none empty.
        pad_id: what fills the left; it is masked, so any id will do.

    Attributes:
        mask: (B, width), 1 for tokens and 0 for padding, of everything that is in the cache.
        logits: (B, V), behind each row's last prompt token.
        next_position: (B, 1), the position of each row's next token. Padding takes no positions.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], *, pad_id: int) -> None:
        self.model = model
        ids, self.mask = pad(prompts, pad_id, model.device, left=True)
        self.cache = DynamicCache(config=model.config)
        inputs, cached = {"input_ids": ids}, 0
        prompt = soft_prompt(model)
        if prompt is not None:
            # Columns are now: virtual tokens, padding, text. Padding is masked and takes no position.
            self.model, self.mask = prompt.base, prompt.mask(self.mask)
            if prompt.prefix:
                self.cache, cached = prompt.cache(len(ids)), prompt.length
            else:
                inputs = {"inputs_embeds": prompt.before(ids)}
        positions = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, cached:]
        self.logits = self._forward(inputs, positions, last_only=True)[:, -1]
        self.next_position = positions[:, -1:] + 1

    def fork(self, prompts: Sequence[Sequence[int]], *, pad_id: int) -> PaddedDecoderBatch:
        """A batch of prompts that continue this one, which has one row and stays as it is; its `logits` are theirs."""
        forked = copy(self)
        forked.cache = deepcopy(self.cache)
        forked.select(torch.zeros(len(prompts), dtype=torch.int64, device=self.logits.device))
        ids, mask = pad(prompts, pad_id, self.logits.device, left=True)
        forked.logits = forked.feed(ids, mask=mask, last_only=True)[:, -1]
        return forked

    @property
    def token_bytes(self) -> int:
        """Bytes of KV cache for each token of a row."""
        return _token_bytes(self.cache, len(self.mask))

    def feed(
        self, ids: torch.Tensor, *, mask: torch.Tensor | None = None, last_only: bool = False
    ) -> torch.Tensor:
        """Append tokens, int64 (B, T); `mask` (B, T) is 0 for those that are padding. Gives logits (B, T, V).

        With `last_only` logits are (B, 1, V): those behind the last token.
        """
        new = torch.ones_like(ids) if mask is None else mask
        self.mask = torch.cat([self.mask, new], dim=1)
        # Padding stays at the last real token's position: the next one may be beyond the model's last.
        steps = (new.cumsum(-1) - 1).clamp(min=0)
        logits = self._forward({"input_ids": ids}, self.next_position + steps, last_only=last_only)
        self.next_position = self.next_position + new.sum(-1, keepdim=True)
        return logits

    def select(self, rows: torch.Tensor) -> None:
        """Keep (or repeat) the rows of these indices, int64 (R,)."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
        self.next_position = self.next_position[rows]
        self.logits = self.logits[rows]

    def _forward(
        self, inputs: dict[str, torch.Tensor], positions: torch.Tensor, *, last_only: bool
    ) -> torch.Tensor:
        return forward_logits(
            self.model,
            **inputs,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1 if last_only else 0,
        )


class PaddedEncoderDecoderBatch:
    """Prompts of an encoder-decoder model, padded at the right; the encoder runs once.

    Args:
        model: the model, in evaluation mode.
        prompts: token ids of each row, none empty.
        pad_id: what fills the right; it is masked.
        answer_prefix: tokens before every answer of the decoder, behind its start token.

    Attributes:
        mask: (B, S), 1 for tokens of the prompts and 0 for padding.
        encoded: (B, S, width), the encoder's output.
        logits: (B, V), of each answer's first token.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        *,
        pad_id: int,
        answer_prefix: Sequence[int] = (),
    ) -> None:
        self.model = model
        ids, self.mask = pad(prompts, pad_id, model.device)
        self.cache = EncoderDecoderCache(DynamicCache(config=model.config), DynamicCache(config=model.config))
        inputs = {"input_ids": ids}
        prompt = soft_prompt(model)
        if prompt is not None:
            self.model = prompt.base
            if prompt.prefix:
                self.cache = prompt.cache(len(ids))
            else:
                inputs, self.mask = {"inputs_embeds": prompt.before(ids)}, prompt.mask(self.mask)
        self.encoded = self.model.get_encoder()(**inputs, attention_mask=self.mask).last_hidden_state
        start = torch.tensor([[model.config.decoder_start_token_id, *answer_prefix]], device=model.device)
        self.logits = self.feed(start.repeat(len(prompts), 1))[:, -1]

    def feed(self, ids: torch.Tensor, *, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Append decoder tokens, int64 (B, T); padding may only stand at the right end. Gives logits (B, T, V)."""
        del mask  # the decoder is causal: padding at the right changes no earlier logits
        return forward_logits(
            self.model,
            encoder_outputs=BaseModelOutput(last_hidden_state=self.encoded),
            attention_mask=self.mask,
            decoder_input_ids=ids,
            past_key_values=self.cache,
            use_cache=True,
        )

    def select(self, rows: torch.Tensor) -> None:
        """Keep (or repeat) the rows of these indices, int64 (R,)."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
        self.encoded = self.encoded[rows]
        self.logits = self.logits[rows]

    @property
    def token_bytes(self) -> int:
        """Bytes of KV cache for each token of a row, of the encoder's side or the decoder's, whichever is more."""
        caches = (self.cache.self_attention_cache, self.cache.cross_attention_cache)
        return max(_token_bytes(cache, len(self.mask)) for cache in caches)


PaddedBatch = PaddedDecoderBatch | PaddedEncoderDecoderBatch


def prefill(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    pad_id: int,
    encoder_decoder: bool,
    answer_prefix: Sequence[int] = (),
) -> PaddedBatch:
    """Run prompts through the model as one batch; its `logits` (B, V) are those of each answer's first token."""
    if encoder_decoder:
        return PaddedEncoderDecoderBatch(model, prompts, pad_id=pad_id, answer_prefix=answer_prefix)
    return PaddedDecoderBatch(model, prompts, pad_id=pad_id)


def pad(
    rows: Sequence[Sequence[int]], pad_id: int, device: torch.device, *, left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids as one tensor (B, width), padded at the right or left, and its mask: 1 for tokens, 0 for padding."""
    side = "left" if left else "right"
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    ids = pad_sequence(tensors, batch_first=True, padding_value=pad_id, padding_side=side)
    mask = pad_sequence(list(map(torch.ones_like, tensors)), batch_first=True, padding_side=side)
    # Each is copied to the device once, and not row by row.
    return ids.to(device), mask.to(device)


def _token_bytes(cache: Any, rows: int) -> int:
    """Bytes a row and token. Layers with a window count as if they held every token; recurrent layers, which do not grow, as 0."""
    pairs = ((getattr(layer, name, None) for name in ("keys", "values")) for layer in cache.layers)
    tensors = [
        tensor for pair in pairs for tensor in pair if isinstance(tensor, torch.Tensor) and tensor.numel()
    ]
    return sum(t.numel() * t.element_size() // (rows * t.shape[-2]) for t in tensors)
