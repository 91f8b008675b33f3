"""A batch of sequences under way in a model: the same few moves for decoder-only and encoder-decoder models."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Any

import torch
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import BaseModelOutput

from tutelage.models.soft_prompts import of as prompt_of


class DecoderState:
    """Prompts of a decoder-only model, padded at the left so that all end at the same place.

    Args:
        model: the model, in evaluation mode.
        prompts: token ids a row, none empty.
        pad_id: what fills the left; masked, so any id will do.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], *, pad_id: int) -> None:
        self.model = model
        width = max(len(p) for p in prompts)
        device = model.device
        ids = torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts], device=device)
        self.mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        self.cache = DynamicCache(config=model.config)
        given, known = {"input_ids": ids}, 0
        prompt = prompt_of(model)
        if prompt is not None:
            # Virtual tokens stand at the very left; what fills up to a row is masked and takes no position.
            self.model, self.mask = prompt.base, prompt.mask(self.mask)
            if prompt.prefix:
                self.cache, known = prompt.cache(len(ids)), prompt.length
            else:
                given = {"inputs_embeds": prompt.before(ids)}
        positions = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, known:]
        self.logits = self._forward(given, positions, last_only=True)[:, -1]
        self.next_position = positions[:, -1:] + 1

    def below(self, prompts: Sequence[Sequence[int]], *, pad_id: int) -> DecoderState:
        """A batch of prompts that go on where this one of one row ends, which stays as it is; its `logits` are theirs."""
        made = copy(self)
        made.cache = deepcopy(self.cache)
        made.select(torch.zeros(len(prompts), dtype=torch.int64, device=self.logits.device))
        width = max(len(p) for p in prompts)
        ids = torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts])
        real = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        device = self.logits.device
        made.logits = made.feed(ids.to(device), real=real.to(device), last_only=True)[:, -1]
        return made

    def join(self, more: DecoderState) -> DecoderState:
        """One batch of the rows of this and another one, which both are given up for it."""
        both = (self, more)
        width = max(state.width for state in both)
        made = copy(self)
        made.mask = torch.cat([_left(state.mask, width, 1) for state in both])
        made.next_position = torch.cat([state.next_position for state in both])
        made.logits = torch.cat([state.logits for state in both])
        made.cache = DynamicCache(config=self.model.config)
        for number in range(len(self.cache.layers)):
            layers = [state.cache.layers[number] for state in both]
            keys, values = (
                torch.cat([_left(getattr(layer, name), width, 2) for layer in layers])
                for name in ("keys", "values")
            )
            made.cache.update(keys, values, number)
        return made

    @property
    def held(self) -> int:
        """Bytes of keys and values for each token of a row."""
        return _held(self.cache, len(self.mask))

    def feed(
        self, ids: torch.Tensor, *, real: torch.Tensor | None = None, last_only: bool = False
    ) -> torch.Tensor:
        """Append tokens, int64 (B, T); `real` (B, T) marks those that are not padding. Gives logits (B, T, V).

        With `last_only` logits are (B, 1, V): those behind the last token.
        """
        fresh = torch.ones_like(ids) if real is None else real
        self.mask = torch.cat([self.mask, fresh], dim=1)
        # Padding stays at the last real token's position: the next one may be beyond the model's last.
        steps = (fresh.cumsum(-1) - 1).clamp(min=0)
        logits = self._forward({"input_ids": ids}, self.next_position + steps, last_only=last_only)
        self.next_position = self.next_position + fresh.sum(-1, keepdim=True)
        return logits

    def select(self, rows: torch.Tensor) -> None:
        """Keep (or repeat) the rows of these indices, int64 (R,)."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
        self.next_position = self.next_position[rows]
        self.logits = self.logits[rows]

    @property
    def width(self) -> int:
        """Tokens that each row has room for, padding and all."""
        return int(self.mask.shape[1])

    def trim(self) -> None:
        """Give up the columns at the left that are padding in every row. Only for models that share (`shares`)."""
        used = self.mask.any(0).nonzero()
        first = int(used[0]) if len(used) else 0
        if not first:
            return
        self.mask = self.mask[:, first:]
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[:, :, first:], layer.values[:, :, first:]

    def _forward(
        self, given: dict[str, torch.Tensor], positions: torch.Tensor, *, last_only: bool
    ) -> torch.Tensor:
        out = self.model(
            **given,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1 if last_only else 0,
        )
        logits: torch.Tensor = out.logits
        return logits


class EncoderDecoderState:
    """Prompts of an encoder-decoder model: the encoder runs once.

    The decoder starts with its start token and `prefix`, what stands before every answer.
    """

    def __init__(
        self, model: Any, prompts: Sequence[Sequence[int]], *, pad_id: int, prefix: Sequence[int] = ()
    ) -> None:
        self.model = model
        width = max(len(p) for p in prompts)
        device = model.device
        source = torch.tensor([list(p) + [pad_id] * (width - len(p)) for p in prompts], device=device)
        self.mask = torch.tensor([[1] * len(p) + [0] * (width - len(p)) for p in prompts], device=device)
        self.cache = EncoderDecoderCache(DynamicCache(config=model.config), DynamicCache(config=model.config))
        given = {"input_ids": source}
        prompt = prompt_of(model)
        if prompt is not None:
            self.model = prompt.base
            if prompt.prefix:
                self.cache = prompt.cache(len(source))
            else:
                given, self.mask = {"inputs_embeds": prompt.before(source)}, prompt.mask(self.mask)
        encoder = self.model.get_encoder()
        self.encoded = encoder(**given, attention_mask=self.mask).last_hidden_state
        first = torch.tensor([[model.config.decoder_start_token_id, *prefix]], device=device)
        self.logits = self.feed(first.repeat(len(prompts), 1))[:, -1]

    def feed(self, ids: torch.Tensor, *, real: torch.Tensor | None = None) -> torch.Tensor:
        """Append decoder tokens, int64 (B, T); padding may only stand at the right end. Gives logits (B, T, V)."""
        del real  # what is padded at the right is causal future: it changes no earlier logits
        out = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.encoded),
            attention_mask=self.mask,
            decoder_input_ids=ids,
            past_key_values=self.cache,
            use_cache=True,
        )
        logits: torch.Tensor = out.logits
        return logits

    def select(self, rows: torch.Tensor) -> None:
        """Keep (or repeat) the rows of these indices, int64 (R,)."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
        self.encoded = self.encoded[rows]
        self.logits = self.logits[rows]

    @property
    def held(self) -> int:
        """Bytes of keys and values for each token of a row, of the encoder's or the decoder's, whichever are more."""
        caches = (self.cache.self_attention_cache, self.cache.cross_attention_cache)
        return max(_held(cache, len(self.mask)) for cache in caches)


State = DecoderState | EncoderDecoderState


def _held(cache: Any, rows: int) -> int:
    """Bytes a row and token; layers that hold a window count as if they held all, and recurrent ones, which do not grow, nothing."""
    pairs = ((getattr(layer, name, None) for name in ("keys", "values")) for layer in cache.layers)
    tensors = [
        tensor for pair in pairs for tensor in pair if isinstance(tensor, torch.Tensor) and tensor.numel()
    ]
    return sum(t.numel() * t.element_size() // (rows * t.shape[-2]) for t in tensors)


def _left(tensor: torch.Tensor, width: int, dim: int) -> torch.Tensor:
    """A tensor filled up with zeros at the beginning of a dimension."""
    short = width - tensor.shape[dim]
    if not short:
        return tensor
    shape = [*tensor.shape]
    shape[dim] = short
    return torch.cat([tensor.new_zeros(shape), tensor], dim)


SHARING = frozenset(
    {
        "bloom", "cohere", "falcon", "gemma", "gpt2", "gpt_bigcode", "gpt_neox", "gptj", "granite", "llama", "mistral", "mixtral",
        "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2",
    }
)  # fmt: skip
"""Kinds of models (`model_type`) that find a token's place by its position or by the mask, and never by counting what is held."""


def shares(model: Any) -> bool:
    """Whether a decoder-only model's prompts can go on where another one ends.

    Where they begin alike and end apart, padding comes to stand between: a sliding window would count it, a recurrent layer would
    read it, and places that follow from the longest row of a batch would move.
    """
    config = model.config
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if config.model_type not in SHARING or rope.get("rope_type", rope.get("type")) in ("dynamic", "longrope"):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def start(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    pad_id: int,
    encoder_decoder: bool,
    prefix: Sequence[int] = (),
) -> State:
    """Run the prompts through the model; the state's `logits` (B, V) are those of the first answer token."""
    if encoder_decoder:
        return EncoderDecoderState(model, prompts, pad_id=pad_id, prefix=prefix)
    return DecoderState(model, prompts, pad_id=pad_id)
