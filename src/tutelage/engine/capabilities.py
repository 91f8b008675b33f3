"""Which fast paths a model takes: each is tried on a few tokens against full passes, never guessed from the model's name.

Padded batches on a KV cache suit most models. Some read padding as text (recurrent layers, a window over virtual tokens), or
cannot drop a row from their state: they answer one request at a time. Some compute another thing on a cache than in one pass:
they read the whole text for every token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cached_property
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tutelage.core.types import Request
from tutelage.engine.decode_batch import DecodeBatch
from tutelage.engine.encoded_request import EncodedRequest
from tutelage.engine.packed_scoring import pack_requests, score_packed_choices
from tutelage.engine.padded_batch import pad
from tutelage.engine.scoring import log_probabilities
from tutelage.engine.sequential import FullPass, Prefill, next_token_logits
from tutelage.engine.shared_prefix import SharedPrefix
from tutelage.models.soft_prompts import soft_prompt

SHARING_TYPES = frozenset(
    {
        "bloom", "cohere", "falcon", "gemma", "gpt2", "gpt_bigcode", "gpt_neox", "gptj", "granite", "llama", "mistral", "mixtral",
        "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2",
    }
)  # fmt: skip
"""Values of `model_type` whose models find a token's place by its position or by the mask, never by counting cached tokens."""
_UNSUPPORTED = (
    TypeError,
    ValueError,
    RuntimeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)
"""What a model raises if it does not know an argument or cannot take a shape."""
_ROUNDING = 4.0
"""How many units in the last place of the weights' type two results may differ by, relative to all values; in float32 1e-5 is more."""

_Trial = Callable[[], tuple[torch.Tensor, torch.Tensor]]
"""Results of a fast path and of full passes."""


class Batching(Enum):
    """How requests go through a model that takes neither packs nor decode batches, the fastest way first."""

    PADDED = "padded batches on a KV cache"
    SINGLE = "one request at a time on a KV cache"
    UNCACHED = "one request at a time, the whole text for every token"


class Capabilities:
    """The fast paths of one model. Each is tried when it is first asked for: a conversation needs few of them.

    Args:
        full_pass: the model, and the reference for all trials.
        prefill: the model on padded batches.
        pad_id: what fills rows up.
    """

    def __init__(self, full_pass: FullPass, prefill: Prefill, pad_id: int) -> None:
        self._full_pass, self._prefill, self._pad_id = full_pass, prefill, pad_id
        self.prefix_sharing = not full_pass.encoder_decoder and shares_prefixes(full_pass.model)

    @cached_property
    def packed_scoring(self) -> bool:
        """Whether choices are scored in packs without padding."""
        return self.prefix_sharing and takes_packs(self._full_pass)

    @cached_property
    def decode_batch(self) -> bool:
        """Whether answers are generated in decode batches behind shared prefixes."""
        return self.packed_scoring and takes_decode_batches(self._full_pass)

    @cached_property
    def batching(self) -> Batching:
        """The fastest way that gives the logits of full passes."""
        model = self._full_pass.model
        if not _window_counts_padding(model) and _agree(model, self._padded):
            return Batching.PADDED
        return Batching.SINGLE if _agree(model, self._single) else Batching.UNCACHED

    @property
    def kv_cache(self) -> bool:
        """Whether the model computes the same on a KV cache as in one pass over the whole text."""
        return self.packed_scoring or self.batching is not Batching.UNCACHED

    def _padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of rows of different lengths that are fed, padded, dropped and repeated."""
        model, full_pass = self._full_pass.model, self._full_pass
        prompts = [_some_ids(model, 1, 3), _some_ids(model, 5, 7)]
        batch = self._prefill(prompts)
        pairs = [(batch.logits[row], full_pass.logits(prompt, [])[-1]) for row, prompt in enumerate(prompts)]
        texts = [_some_ids(model, 4, 3), _some_ids(model, 8, 2), _some_ids(model, 2, 1)]
        sources = [1, 0, 1]
        batch.select(torch.tensor(sources, device=batch.logits.device))
        ids, mask = pad(texts, self._pad_id, batch.logits.device)
        logits = batch.feed(ids, mask=mask)
        for row, (source, text) in enumerate(zip(sources, texts, strict=True)):
            expected = full_pass.logits(prompts[source], text)[-len(text) :]
            pairs += zip(logits[row, : len(text)], expected, strict=True)
        pairs += self._token_by_token()
        return torch.stack([fast for fast, _ in pairs]), torch.stack([slow for _, slow in pairs])

    def _token_by_token(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Rows of a batch that generate token by token, of which one ends."""
        model = self._full_pass.model
        prompts = [_some_ids(model, 3, 6), _some_ids(model, 7, 2)]
        batch = self._prefill(prompts)
        device = batch.logits.device
        first, second = _some_ids(model, 6, 2)
        batch.logits = batch.feed(torch.tensor([[first], [second]], device=device))[:, -1]
        batch.select(torch.tensor([1], device=device))
        logits = batch.feed(torch.tensor([[first]], device=device))[0, -1]
        yield logits, self._full_pass.logits(prompts[1], [second, first])[-1]

    def _single(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of one request that is fed token by token."""
        full_pass = self._full_pass
        prompt, answer = _some_ids(full_pass.model, 1, 5), _some_ids(full_pass.model, 4, 3)
        steppers = [
            next_token_logits(full_pass, self._prefill, prompt, cached=cached) for cached in (True, False)
        ]
        fast, slow = (
            torch.stack([stepper(answer[:n]) for n in range(len(answer) + 1)]) for stepper in steppers
        )
        return fast, slow


def shares_prefixes(model: Any) -> bool:
    """Whether a decoder-only model's prompts can continue from the KV cache of a shared prefix.

    Prompts of different lengths then have padding between the prefix and their own text: a sliding window would count it, a
    recurrent layer would read it, and positions that follow from the longest row of a batch would move.
    """
    config = model.config
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if config.model_type not in SHARING_TYPES or rope.get("rope_type", rope.get("type")) in (
        "dynamic",
        "longrope",
    ):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def takes_packs(full_pass: FullPass) -> bool:
    """Whether choices have the same log-probability in packs as alone, with and without a shared prefix.

    Models that make their own mask out of a two-dimensional one, or count positions, do not.
    """
    model = full_pass.model

    def trial() -> tuple[torch.Tensor, torch.Tensor]:
        prefix, first, second = (_some_ids(model, start, 5) for start in (1, 2, 3))
        long, short = choices = (_some_ids(model, 4, 3), _some_ids(model, 6, 1))
        requests = [
            EncodedRequest(Request("", "choose", ""), prefix + rest, choices) for rest in (first, second)
        ]
        packed = []
        for length, cache in ((0, None), (len(prefix), _prefix_cache(model, prefix))):
            ((_, pack),) = pack_requests(requests, length, share_neighbours=True)
            packed += score_packed_choices(model, pack, requests, cache, length)
        alone = []
        for encoded in requests:
            # Both choices of a request by one pass: the first row, behind the prompt, scores the short one as well.
            rows = log_probabilities(full_pass.logits(encoded.prompt, long[:-1])[-len(long) :])
            alone.append([float(rows[range(len(long)), long].sum()), float(rows[0, short[0]])])
        fast = torch.tensor([[score.log_probability for score in row] for row in packed])
        return fast, torch.tensor(alone * 2)

    return soft_prompt(model) is None and _agree(model, trial)


def takes_decode_batches(full_pass: FullPass) -> bool:
    """Whether rows of a decode batch have the same logits as alone, with and without a shared prefix.

    Models whose attention is more than one softmax over scaled products, or cannot be replaced, do not.
    """
    model = full_pass.model

    def trial() -> tuple[torch.Tensor, torch.Tensor]:
        prefix = _some_ids(model, 1, 6)
        texts = [
            [*prefix, *_some_ids(model, 9, 2)],
            [*prefix, *_some_ids(model, 3, 1)],
            _some_ids(model, 11, 3),
        ]
        shared = SharedPrefix(len(prefix), _prefix_cache(model, prefix))
        batch = DecodeBatch(model, max_rows=3)
        for prefix_of_group, group in ((shared, texts[:2]), (SharedPrefix(), texts[2:])):
            requests = [EncodedRequest(Request("", "generate", "", max_new_tokens=4), ids) for ids in group]
            ((packed, pack),) = pack_requests(requests, prefix_of_group.length)
            batch.admit(prefix_of_group, packed, pack, max_tokens=0)
        tokens = _some_ids(model, 4, 3)
        for _ in range(2):
            batched = batch.feed(tokens)
            texts = [[*text, token] for text, token in zip(texts, tokens, strict=True)]
        return batched, torch.stack([full_pass.logits(text, [])[-1] for text in texts])

    return soft_prompt(model) is None and _agree(model, trial)


@torch.inference_mode()
def _agree(model: Any, trial: _Trial) -> bool:
    """Whether a fast path runs and gives what full passes give, but for rounding."""
    try:
        fast, slow = trial()
    except _UNSUPPORTED:
        return False
    tolerance = max(1e-5, _ROUNDING * torch.finfo(model.dtype).eps)
    return bool((fast.float() - slow.float()).norm() <= tolerance * slow.float().norm())


def _some_ids(model: Any, first: int, count: int) -> list[int]:
    """Token ids for a trial, out of the first ones of the vocabulary."""
    top = min(model.config.get_text_config().vocab_size, 64)
    return [(first + 7 * n) % top for n in range(count)]


def _prefix_cache(model: Any, ids: Sequence[int]) -> DynamicCache:
    """The KV cache of a text."""
    cache = DynamicCache(config=model.config)
    model(input_ids=torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True)
    return cache


def _window_counts_padding(model: Any) -> bool:
    """Whether padding between virtual tokens and a row's text would use up a window; a trial may be too short to show it."""
    if soft_prompt(model) is None or model.config.is_encoder_decoder:
        return False
    return any(type(layer) is not DynamicLayer for layer in DynamicCache(config=model.config).layers)
