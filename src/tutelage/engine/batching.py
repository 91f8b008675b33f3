"""How many requests a model can be asked at once: found by trial on a few tokens, never guessed from its name.

Padded batches on a cache suit most models. Some count padding as text (recurrent layers, a window over virtual
tokens), or cannot drop a row from their state: they are asked one request at a time. Some compute another thing on a
cache than in one pass: they read the whole text for every token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tutelage.engine import padded_batch as states
from tutelage.engine.capabilities import some_ids, takes
from tutelage.engine.plain import Plain
from tutelage.models.soft_prompts import of as prompt_of


class Batching(Enum):
    """How a model is asked, the quickest way first."""

    PADDED = "padded batches on a cache"
    SINGLE = "one request at a time on a cache"
    WHOLE = "one request at a time, the whole text for every token"


@dataclass(frozen=True, slots=True)
class Asker:
    """Tries a model, and asks it one request at a time.

    Attributes:
        plain: the model, asked by whole passes.
        start: runs prompts through the model as one padded batch on a cache.
        pad_id: what fills rows up.
    """

    plain: Plain
    start: Callable[[Sequence[Sequence[int]]], states.State]
    pad_id: int

    def batching(self) -> Batching:
        """The quickest way whose logits are those of whole passes."""
        model = self.plain.model
        if not _window_counts_padding(model) and takes(model, self._padded, prompts=True):
            return Batching.PADDED
        return Batching.SINGLE if takes(model, self._single, prompts=True) else Batching.WHOLE

    def steps(self, prompt: Sequence[int], batching: Batching) -> Callable[[Sequence[int]], torch.Tensor]:
        """A function from an answer's tokens so far, one more at each call, to the next token's logits (V,)."""
        if batching is Batching.WHOLE:
            return lambda answer: self.plain.logits(prompt, answer)[-1]
        state: states.State | None = None

        def step(answer: Sequence[int]) -> torch.Tensor:
            nonlocal state
            if state is None:
                state = self.start([prompt])
                return state.logits[0]
            fed = torch.tensor([[answer[-1]]], device=state.logits.device)
            return state.feed(fed)[0, -1]

        return step

    def _padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of rows of different lengths that are fed, padded, dropped and repeated; and of whole passes."""
        model = self.plain.model
        prompts = [some_ids(model, 1, 3), some_ids(model, 5, 7)]
        state = self.start(prompts)
        pairs = [(state.logits[row], self.plain.logits(prompt, [])[-1]) for row, prompt in enumerate(prompts)]
        texts = [some_ids(model, 4, 3), some_ids(model, 8, 2), some_ids(model, 2, 1)]
        owners = [1, 0, 1]
        state.select(torch.tensor(owners, device=state.logits.device))
        width = max(map(len, texts))
        fed = [text + [self.pad_id] * (width - len(text)) for text in texts]
        real = [[1] * len(text) + [0] * (width - len(text)) for text in texts]
        device = state.logits.device
        after = state.feed(torch.tensor(fed, device=device), real=torch.tensor(real, device=device))
        for row, (owner, text) in enumerate(zip(owners, texts, strict=True)):
            whole = self.plain.logits(prompts[owner], text)[-len(text) :]
            pairs += zip(after[row, : len(text)], whole, strict=True)
        pairs += self._fed_on()
        return torch.stack([fast for fast, _ in pairs]), torch.stack([slow for _, slow in pairs])

    def _fed_on(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Rows of a batch that generate token by token, of which one ends."""
        model = self.plain.model
        prompts = [some_ids(model, 3, 6), some_ids(model, 7, 2)]
        state = self.start(prompts)
        first, second = some_ids(model, 6, 2)
        state.logits = state.feed(torch.tensor([[first], [second]], device=state.logits.device))[:, -1]
        state.select(torch.tensor([1], device=state.logits.device))
        after = state.feed(torch.tensor([[first]], device=state.logits.device))[0, -1]
        yield after, self.plain.logits(prompts[1], [second, first])[-1]

    def _single(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of one request that is fed token by token; and of whole passes."""
        prompt, answer = some_ids(self.plain.model, 1, 5), some_ids(self.plain.model, 4, 3)
        step = self.steps(prompt, Batching.SINGLE)
        fast = [step(answer[:n]) for n in range(len(answer) + 1)]
        slow = [self.plain.logits(prompt, answer[:n])[-1] for n in range(len(answer) + 1)]
        return torch.stack(fast), torch.stack(slow)


def _window_counts_padding(model: Any) -> bool:
    """Whether padding between virtual tokens and a row's text would use up a window; a trial may be too short to show it."""
    if prompt_of(model) is None or model.config.is_encoder_decoder:
        return False
    return any(type(layer) is not DynamicLayer for layer in DynamicCache(config=model.config).layers)
