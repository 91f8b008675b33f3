"""Choices of many requests in one pass without padding: the requests lie end to end, and a mask keeps them apart.

Each request is a small tree: its prompt, and behind it each choice. Every token sees the shared beginning, its own prompt and
its own choice up to itself, at the place where it stands in its own text. What a prompt begins with like the one before it in the
pack is not read again: the request sees those tokens there. So no beginning is copied for each row, and the output layer is
computed only where a choice's token is told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache

from tutelage.core.types import Request
from tutelage.engine.attention import attending
from tutelage.engine.capabilities import some_ids, takes
from tutelage.engine.encoded_request import Read
from tutelage.engine.last_layer_pruning import only_at
from tutelage.engine.prefixes import shared
from tutelage.engine.scoring import log_probabilities
from tutelage.engine.shared_prefix import behind

TOKENS = 512
"""Tokens of a pass, where no single request has more: up to 1,024 are as quick, and take more memory."""
Span = tuple[int, int]
"""From where up to where."""
_Part = tuple[int, int, Sequence[Span], torch.Tensor]
"""Of a request: where its own tokens begin and end, the spans of keys that it sees, and its mask."""
_AT_ONCE = 32
"""Tokens whose whole distributions are held at once."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Requests that go through the model together.

    Attributes:
        ids: their tokens, end to end.
        places: how many tokens each one's own text has before it, the shared beginning not counted.
        choices: which choice of its request it is of, counted from 1; 0 for the prompt's.
        spans: where each request's tokens begin and end, as indices into ids: its own last, before them those of earlier requests'
            prompts that it begins with.
        told: where a choice's token is told, and which one: (index into ids, request, choice, token).
    """

    ids: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    spans: list[tuple[Span, ...]] = field(default_factory=list)
    told: list[tuple[int, int, int, int]] = field(default_factory=list)

    def add(self, read: Read, depth: int, *, like: int = 0) -> None:
        """Put a request behind the others.

        Args:
            read: the request.
            depth: tokens of its prompt that are in the shared beginning.
            like: how many tokens of the last request's prompt it goes on with, fewer than its own has left.
        """
        row, start = len(self.spans), len(self.ids)
        begun = _first(self.spans[-1], like) if like else ()
        self._put(read.prompt[depth + like :], 0, first=like)
        last = len(self.ids) - 1
        for number, choice in enumerate(read.choices):
            self.told.append((last, row, number, choice[0]))
            at = len(self.ids)
            self._put(choice[:-1], number + 1, first=len(read.prompt) - depth)
            self.told.extend((at + n, row, number, token) for n, token in enumerate(choice[1:]))
        self.spans.append((*begun, (start, len(self.ids))))

    def _put(self, ids: Sequence[int], choice: int, *, first: int) -> None:
        self.ids.extend(ids)
        self.places.extend(range(first, first + len(ids)))
        self.choices.extend([choice] * len(ids))

    @property
    def plain(self) -> bool:
        """Whether each token sees all before it, so that no mask is needed."""
        return len(self.spans) == 1 and not any(self.choices)


def _first(spans: Sequence[Span], count: int) -> tuple[Span, ...]:
    """Where the first tokens of some spans lie."""
    found = []
    for start, end in spans:
        found.append((start, min(end, start + count)))
        count -= end - start
        if count <= 0:
            break
    return tuple(found)


def packs(
    reads: Sequence[Read], depth: int, *, tokens: int = TOKENS, rows: int = sys.maxsize, once: bool = False
) -> Iterator[tuple[list[Read], Pack]]:
    """Requests in packs of at most so many tokens and requests, or of one request.

    Args:
        reads: the requests, in an order in which those that begin alike are neighbours.
        depth: tokens that all prompts have in common and that are not read again.
        tokens: of a pack.
        rows: requests of a pack.
        once: whether what a prompt begins with like its neighbour is left out of it.
    """
    chosen: list[Read] = []
    pack = Pack()
    for read in reads:
        like = shared(chosen[-1].prompt, read.prompt) - depth if once and chosen else 0
        own = len(read.prompt) - depth - like + sum(len(choice) - 1 for choice in read.choices)
        if chosen and (len(pack.ids) + own > tokens or len(chosen) == rows):
            yield chosen, pack
            chosen, pack, like = [], Pack(), 0
        pack.add(read, depth, like=like)
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
    places = sorted({place for place, *_ in pack.told})
    found = {place: n for n, place in enumerate(places)}
    logits = logits_at(model, pack, places, None if cache is None else behind(cache), depth)
    device = logits.device
    which = torch.tensor([found[place] for place, *_ in pack.told], device=device)
    tokens = torch.tensor([token for *_, token in pack.told], device=device)
    told = _told(logits, which, tokens)
    added = [[0.0] * len(read.choices) for read in reads]
    for (_, row, choice, _), value in zip(pack.told, told, strict=True):
        added[row][choice] += value
    return added


def logits_at(model: Any, pack: Pack, places: Sequence[int], cache: Any, depth: int) -> torch.Tensor:
    """Logits behind some tokens of a pack, (n, V).

    Args:
        model: a decoder-only model of which `takes_packs` holds, in inference mode.
        pack: the tokens.
        places: the tokens' indices, in order.
        cache: takes the pack's keys and values behind those of the shared beginning; none where nobody needs them.
        depth: the tokens of the shared beginning.
    """
    device = model.device
    at = torch.tensor(places, device=device)
    given = {
        "input_ids": torch.tensor([pack.ids], device=device),
        "position_ids": torch.tensor([pack.places], device=device) + depth,
        "past_key_values": cache,
        "use_cache": cache is not None,
        "logits_to_keep": at,
    }
    with only_at(model, at):
        if pack.plain:
            out = model(**given)
        else:
            mask = mask_of(pack, depth, model.dtype, device)
            with attending(model, _Apart(pack, depth, mask).attend):
                out = model(**given, attention_mask=mask)
    logits: torch.Tensor = out.logits[0]
    return logits


class _Apart:
    """Attention of a pack request by request: none looks at the tokens of another, where a mask would hide them in vain.

    Args:
        pack: the requests' tokens.
        depth: tokens of the shared beginning.
        mask: of the whole pack.
    """

    def __init__(self, pack: Pack, depth: int, mask: torch.Tensor) -> None:
        self._parts = [self._part(spans, depth, mask) for spans in pack.spans]

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
    ) -> torch.Tensor:
        """Queries (1, H, T, d), keys and values (1, heads, depth + T, d) to (1, T, H, d)."""
        held, size = key.shape[1], value.shape[-1]
        many = query.shape[1] // held
        out = query.new_empty(query.shape[2], held, many, size)
        for start, end, spans, mask in self._parts:
            keys, values = (_picked(one[0, :, None], spans).expand(-1, many, -1, -1) for one in (key, value))
            asked = query[0, :, start:end].view(held, many, end - start, -1)
            found = scaled_dot_product_attention(asked, keys, values, attn_mask=mask, scale=scaling)
            out[start:end] = found.permute(2, 0, 1, 3)
        return out.view(1, -1, held * many, size)

    def _part(self, spans: Sequence[Span], depth: int, mask: torch.Tensor) -> _Part:
        (start, end), begun = spans[-1], [(0, depth)] if depth else []
        seen = [*begun, *((depth + a, depth + b) for a, b in spans)]
        own = _picked(mask[:, :, start:end].transpose(-1, -2), seen).transpose(-1, -2)
        return start, end, seen, own


def _picked(tensor: torch.Tensor, spans: Sequence[Span]) -> torch.Tensor:
    """Some spans of the last dimension but one, one behind the other."""
    parts = [tensor.narrow(-2, start, end - start) for start, end in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -2)


def _told(logits: torch.Tensor, which: torch.Tensor, tokens: torch.Tensor) -> list[float]:
    """The log-probability of each token at its place."""
    found: list[float] = []
    for start in range(0, len(which), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        after = log_probabilities(logits[which[some]])
        found += after.gather(-1, tokens[some, None])[:, 0].double().tolist()
    return found


def mask_of(pack: Pack, depth: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """What is added to attention scores, (1, 1, T, depth + T): 0 for what a token sees, the least number for the rest."""
    size, choices = len(pack.ids), torch.tensor(pack.choices)
    seen = torch.zeros(size, size, dtype=torch.bool)
    for *begun, (start, end) in pack.spans:
        for first, last in begun:
            seen[start:end, first:last] = True
        mine = choices[start:end]
        seen[start:end, start:end] = ((mine == 0) | (mine[:, None] == mine)).tril()
    mask = torch.zeros(size, depth + size, dtype=dtype)
    mask[:, depth:].masked_fill_(~seen, torch.finfo(dtype).min)
    return mask[None, None].to(device)


def takes_packs(model: Any) -> bool:
    """Whether requests come out of packs as they do alone: it is tried, with and without a shared beginning.

    Models that make their own mask of a two-dimensional one, or count places, do not take them.
    """
    return takes(model, lambda: _tried(model))


def _tried(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of two requests' choices: in packs, without and with a beginning, and of each alone."""
    begin, first, second = (some_ids(model, start, 5) for start in (1, 2, 3))
    choices = (some_ids(model, 4, 3), some_ids(model, 6, 1))
    reads = [Read(Request("", "choose", ""), begin + own, choices) for own in (first, second)]
    cache = DynamicCache(config=model.config)
    model(input_ids=torch.tensor([begin], device=model.device), past_key_values=cache, use_cache=True)
    found = []
    for depth, begun in ((0, None), (len(begin), cache)):
        ((_, pack),) = packs(reads, depth, once=True)
        found += sums(model, pack, reads, begun, depth)
    alone = [_alone(model, read.prompt, choices) for read in reads]
    return torch.tensor(found), torch.tensor(alone * 2)


def _alone(model: Any, prompt: list[int], choices: Sequence[list[int]]) -> list[float]:
    """Summed log-probabilities of choices, each read in a pass of its own."""
    found = []
    for choice in choices:
        out = model(input_ids=torch.tensor([prompt + choice], device=model.device), use_cache=False)
        after = log_probabilities(out.logits[0])
        found.append(sum(float(after[len(prompt) - 1 + n, token]) for n, token in enumerate(choice)))
    return found
