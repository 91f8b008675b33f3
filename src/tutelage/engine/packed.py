"""Choices of many requests in one pass without padding: the requests lie end to end, and a mask keeps them apart.

Each request is a small tree: its prompt, and behind it each choice. Every token sees the shared beginning, its own prompt and
its own choice up to itself, at the place where it stands in its own text. So nothing is read twice, no beginning is copied for
each row, and the output layer is computed only where a choice's token is told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from tutelage.engine.beginnings import behind
from tutelage.engine.reading import Read
from tutelage.models.prompts import of as prompt_of

TOKENS = 512
"""Tokens of a pass, where no single request has more: beyond, attention to other requests' masked tokens costs more than it saves."""
_SAME = 1e-4
_AT_ONCE = 32
"""Tokens whose whole distributions are held at once."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Requests that go through the model together.

    Attributes:
        ids: their tokens, end to end.
        places: how many tokens each one's own text has before it, the shared beginning not counted.
        rows: which request each token is of.
        choices: which choice it is of, counted from 1; 0 for the prompt's.
        told: where a choice's token is told, and which one: (index into ids, request, choice, token).
    """

    ids: list[int]
    places: list[int]
    rows: list[int]
    choices: list[int]
    told: list[tuple[int, int, int, int]]

    def add(self, row: int, read: Read, depth: int) -> None:
        """Put a request behind the others; `depth` tokens of its prompt are in the shared beginning."""
        prompt = read.prompt[depth:]
        self._put(prompt, row, 0, first=0)
        last = len(self.ids) - 1
        for number, choice in enumerate(read.choices):
            self.told.append((last, row, number, choice[0]))
            at = len(self.ids)
            self._put(choice[:-1], row, number + 1, first=len(prompt))
            self.told.extend((at + n, row, number, token) for n, token in enumerate(choice[1:]))

    def _put(self, ids: Sequence[int], row: int, choice: int, *, first: int) -> None:
        self.ids.extend(ids)
        self.places.extend(range(first, first + len(ids)))
        self.rows.extend([row] * len(ids))
        self.choices.extend([choice] * len(ids))

    @property
    def plain(self) -> bool:
        """Whether each token sees all before it, so that no mask is needed."""
        return not any(self.rows) and not any(self.choices)


def packs(
    reads: Sequence[Read], depth: int, *, tokens: int = TOKENS, rows: int = sys.maxsize
) -> Iterator[tuple[list[Read], Pack]]:
    """Requests in packs of at most so many tokens and requests, or of one request."""
    chosen: list[Read] = []
    pack = Pack([], [], [], [], [])
    for read in reads:
        own = len(read.prompt) - depth + sum(len(choice) - 1 for choice in read.choices)
        if chosen and (len(pack.ids) + own > tokens or len(chosen) == rows):
            yield chosen, pack
            chosen, pack = [], Pack([], [], [], [], [])
        pack.add(len(chosen), read, depth)
        chosen.append(read)
    if chosen:
        yield chosen, pack


def sums(model: Any, pack: Pack, reads: Sequence[Read], cache: Any, depth: int) -> list[list[float]]:
    """The summed log-probability (nats) of each request's choices.

    Args:
        model: a decoder-only model of which `takes_packs` holds, in inference mode.
        pack: the requests' tokens.
        reads: the requests.
        cache: keys and values of the shared beginning, which stays as it is; none where nothing is shared.
        depth: the tokens of the shared beginning.
    """
    device = model.device
    at = sorted({place for place, *_ in pack.told})
    found = {place: n for n, place in enumerate(at)}
    out = model(
        input_ids=torch.tensor([pack.ids], device=device),
        position_ids=torch.tensor([pack.places], device=device) + depth,
        attention_mask=None if pack.plain else mask_of(pack, depth, model.dtype, device),
        past_key_values=None if cache is None else behind(cache),
        use_cache=cache is not None,
        logits_to_keep=torch.tensor(at, device=device),
    )
    logits = out.logits[0]
    which = torch.tensor([found[place] for place, *_ in pack.told], device=device)
    tokens = torch.tensor([token for *_, token in pack.told], device=device)
    told = _told(logits, which, tokens)
    added = [[0.0] * len(read.choices) for read in reads]
    for (_, row, choice, _), value in zip(pack.told, told, strict=True):
        added[row][choice] += value
    return added


def _told(logits: torch.Tensor, which: torch.Tensor, tokens: torch.Tensor) -> list[float]:
    """The log-probability of each token at its place: `log_softmax` in float32, as it is computed wherever models are scored.

    Its sum over a vocabulary is off by up to 1e-5, always to one side; a better one would differ from all others' values by that
    much for every token of a choice.
    """
    found: list[float] = []
    for start in range(0, len(which), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        after = logits[which[some]].float().log_softmax(-1)
        found += after.gather(-1, tokens[some, None])[:, 0].double().tolist()
    return found


def mask_of(pack: Pack, depth: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """What is added to attention scores, (1, 1, T, depth + T): 0 for what a token sees, the least number for the rest."""
    rows, choices = torch.tensor(pack.rows), torch.tensor(pack.choices)
    size = len(pack.ids)
    seen = (rows[:, None] == rows) & ((choices == 0) | (choices[:, None] == choices))
    seen &= torch.ones(size, size, dtype=torch.bool).tril()
    mask = torch.zeros(size, depth + size, dtype=dtype)
    mask[:, depth:].masked_fill_(~seen, torch.finfo(dtype).min)
    return mask[None, None].to(device)


@torch.inference_mode()
def takes_packs(model: Any) -> bool:
    """Whether requests come out of packs as they do alone: it is tried, with and without a shared beginning.

    Models that make their own mask of a two-dimensional one, or count places, do not take them; nor do virtual tokens, which
    stand before every single request.
    """
    if prompt_of(model) is not None:
        return False
    top = min(model.config.get_text_config().vocab_size, 64)
    begin, first, second = ([(start + 7 * i) % top for i in range(5)] for start in (1, 2, 3))
    choices = ([4 % top, 5 % top, 6 % top], [7 % top])
    try:
        alone = [_alone(model, begin + own, choices) for own in (first, second)]
        for depth in (0, len(begin)):
            reads = [Read(None, begin + own, choices) for own in (first, second)]  # type: ignore[arg-type]  # ids only
            cache = None
            if depth:
                cache = DynamicCache(config=model.config)
                model(
                    input_ids=torch.tensor([begin], device=model.device),
                    past_key_values=cache,
                    use_cache=True,
                )
            ((_, pack),) = packs(reads, depth)
            together = torch.tensor(sums(model, pack, reads, cache, depth))
            if not torch.allclose(together, torch.tensor(alone), atol=_SAME, rtol=_SAME):
                return False
    except (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError):
        return False
    return True


def _alone(model: Any, prompt: list[int], choices: Sequence[list[int]]) -> list[float]:
    """Summed log-probabilities of choices, each read in a pass of its own."""
    found = []
    for choice in choices:
        out = model(input_ids=torch.tensor([prompt + choice], device=model.device), use_cache=False)
        after = out.logits[0].float().log_softmax(-1)
        found.append(sum(float(after[len(prompt) - 1 + n, token]) for n, token in enumerate(choice)))
    return found
