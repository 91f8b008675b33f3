"""Rows that generate together, each with keys and values of its own behind a beginning that is held once.

A row's attention is over two pieces, the beginning that it shares with others and what is its own, in one softmax. So a beginning is
neither copied for each row nor padded, rows of different beginnings go through the model together, and a row that ends gives its place
to the next one. Keys and values are written where there is room for them: nothing that is held is moved for a new token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

from tutelage.core.types import Request
from tutelage.engine.attention import attending
from tutelage.engine.capabilities import some_ids, takes
from tutelage.engine.encoded_request import Read
from tutelage.engine.packed_scoring import Pack, logits_at, packs
from tutelage.engine.shared_prefix import Beginning, behind, fresh

_Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(slots=True)
class _Place:
    """A row: its beginning, how many tokens of its own are held, and how many at its answer's end."""

    beginning: Beginning
    own: int
    need: int


class Rows:
    """The rows under way, numbered from 0 without gaps.

    Args:
        model: a decoder-only model of which `takes_rows` holds, in inference mode.
        most: how many rows there may be at once.
    """

    def __init__(self, model: Any, *, most: int) -> None:
        self.model = model
        self._most = most
        self._places: list[_Place] = []
        self._room = (0, 0)  # rows, and tokens of each
        self._held: list[_Pair] = []
        self._groups: _Groups | None = None

    def __len__(self) -> int:
        return len(self._places)

    def room(self, count: int, width: int) -> int:
        """Tokens of keys and values that are held at least with so many more rows of such a width, beginnings not counted."""
        return (len(self) + count) * max([width, *(place.need for place in self._places)])

    def beginnings(self) -> set[Beginning]:
        """Those of the rows under way."""
        return {place.beginning for place in self._places}

    def admit(self, beginning: Beginning, reads: Sequence[Read], pack: Pack, *, room: int) -> torch.Tensor:
        """Take rows up behind the others; gives the logits behind their prompts, (N, V).

        Args:
            beginning: what their prompts share.
            reads: the rows.
            pack: their prompts' tokens behind the beginning.
            room: tokens of keys and values that all rows may hold, where they do not need more.
        """
        cache = behind(beginning.cache) if beginning.depth else DynamicCache(config=self.model.config)
        lengths = [len(read.prompt) - beginning.depth for read in reads]
        ends = [end - 1 for end in accumulate(lengths)]
        logits = logits_at(self.model, pack, ends, cache, beginning.depth)
        first, own = len(self), fresh(cache)
        places = [
            _Place(beginning, length, length + read.answer)
            for length, read in zip(lengths, reads, strict=True)
        ]
        self._make_room(own, self._places + places, room)
        for pair, made in zip(self._held, own, strict=True):
            for held, tensor in zip(pair, made, strict=True):
                at = 0
                for row, length in enumerate(lengths, start=first):
                    held[row, :, :length] = tensor[0, :, at : at + length]
                    at += length
        self._places += places
        self._groups = None
        return logits

    def feed(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append a token to each row; gives the logits behind it, (N, V)."""
        device = self.model.device
        at = torch.tensor([place.own for place in self._places], device=device)
        depth = torch.tensor([place.beginning.depth for place in self._places], device=device)
        used = int(at.max()) + 1
        seen = torch.arange(used, device=device)[None] <= at[:, None]
        mask = torch.zeros(seen.shape, dtype=self.model.dtype, device=device)
        mask.masked_fill_(~seen, torch.finfo(self.model.dtype).min)
        under_way = _Now(self._grouped(), mask[:, None, None], at, used)
        layers = [_Layer(keys, values, under_way) for keys, values in self._held]
        with attending(self.model, under_way.attend):
            out = self.model(
                input_ids=torch.tensor(tokens, device=device)[:, None],
                position_ids=(depth + at)[:, None],
                attention_mask=under_way.mask,
                past_key_values=Cache(layers=layers),
                use_cache=True,
                logits_to_keep=1,
            )
        for place in self._places:
            place.own += 1
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def leave(self, gone: set[int]) -> list[int]:
        """Give up rows; the last ones take their places. Gives for each place the number of the row that is there now."""
        left = len(self) - len(gone)
        movers = iter([row for row in range(left, len(self)) if row not in gone])
        order = [next(movers) if row in gone else row for row in range(left)]
        for place, row in enumerate(order):
            if place != row:
                length = self._places[row].own
                for pair in self._held:
                    for held in pair:
                        held[place, :, :length] = held[row, :, :length]
        self._places = [self._places[row] for row in order]
        self._groups = None
        return order

    def _grouped(self) -> _Groups:
        if self._groups is None:
            members: dict[Beginning, list[int]] = {}
            for row, place in enumerate(self._places):
                members.setdefault(place.beginning, []).append(row)
            order = [row for rows in members.values() for row in rows]
            ends = list(accumulate(map(len, members.values()), initial=0))
            spans = [slice(*pair) for pair in pairwise(ends)]
            moved = (
                None if order == list(range(len(order))) else torch.tensor(order, device=self.model.device)
            )
            self._groups = _Groups(list(zip(members, spans, strict=True)), moved)
        return self._groups

    def _make_room(self, like: Sequence[_Pair], places: Sequence[_Place], most: int) -> None:
        """Room for these rows to their ends, of which those under way are the first.

        Args:
            like: keys and values, for their shapes.
            places: the rows.
            most: tokens that there is room for in all, where the rows do not need more.
        """
        width = max(place.need for place in places)
        fits = len(places) <= self._room[0] and width <= self._room[1]
        if fits and self._room[0] * self._room[1] <= most:
            return
        # For all rows that may still come, as far as that goes: room made row by row would leave holes between what is held.
        room = max(len(places), min(self._most, most // width)), width
        if not self._held:
            self._held = [(keys[:0], values[:0]) for keys, values in like]
        # One layer after the other, so that little is held twice.
        for number, (keys, values) in enumerate(self._held):
            self._held[number] = self._moved(keys, room), self._moved(values, room)
        self._room = room

    def _moved(self, old: torch.Tensor, room: tuple[int, int]) -> torch.Tensor:
        """The rows' keys or values of a layer in another room: zeros beyond them, as what is masked is still multiplied."""
        new = old.new_zeros((room[0], old.shape[1], room[1], old.shape[3]))
        for row, place in enumerate(self._places):
            new[row, :, : place.own] = old[row, :, : place.own]
        return new


class _Groups:
    """Rows by beginning.

    Args:
        spans: each beginning and its rows, when those of one beginning stand together.
        order: the rows so that they do; None where they do as they are.
    """

    def __init__(self, spans: Sequence[tuple[Beginning, slice]], order: torch.Tensor | None) -> None:
        self.spans = spans
        self._order, self._back = order, None if order is None else order.argsort()

    def sorted(self, tensor: torch.Tensor) -> torch.Tensor:
        """Rows, those of one beginning together."""
        return tensor if self._order is None else tensor[self._order]

    def back(self, tensor: torch.Tensor) -> torch.Tensor:
        """Rows as they were before `sorted`."""
        return tensor if self._back is None else tensor[self._back]


@dataclass(slots=True)
class _Now:
    """One pass: whose keys and values are where.

    Attributes:
        groups: the rows by beginning.
        mask: what is added to scores of the rows' own tokens, (N, 1, 1, used).
        at: where each row's new token goes.
        used: tokens of the longest row, the new one among them.
        layer: the number of the layer whose keys were written last, whose attention comes next; -1 before the first.
    """

    groups: _Groups
    mask: torch.Tensor
    at: torch.Tensor
    used: int
    layer: int = -1

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
    ) -> torch.Tensor:
        """Attention of one new token a row, (N, H, 1, d); gives (N, 1, H, d)."""
        count, heads, _, size = query.shape
        held = key.shape[1]
        asked = (query[:, :, 0] * (size**-0.5 if scaling is None else scaling)).view(
            count, held, heads // held, size
        )
        own = self.groups.sorted(torch.matmul(asked, key.transpose(-1, -2)) + self.mask)
        asked = self.groups.sorted(asked)
        out = torch.zeros_like(asked)
        weights = torch.empty_like(own)
        for beginning, rows in self.groups.spans:
            mine = own[rows]
            if not beginning.depth:
                weights[rows] = mine.softmax(-1, dtype=torch.float32).to(mine.dtype)
                continue
            begin, depth = beginning.cache.layers[self.layer], beginning.depth
            flat = asked[rows].transpose(0, 1).reshape(held, -1, size)  # (heads, rows x queries, d)
            above = torch.matmul(flat, begin.keys[0].transpose(-1, -2))
            both = torch.cat([above, mine.transpose(0, 1).reshape(held, -1, self.used)], -1)
            both = both.softmax(-1, dtype=torch.float32).to(mine.dtype)
            weights[rows] = both[..., depth:].view(held, -1, heads // held, self.used).transpose(0, 1)
            out[rows] = (
                torch.matmul(both[..., :depth], begin.values[0])
                .view(held, -1, heads // held, size)
                .transpose(0, 1)
            )
        found = self.groups.back(out) + torch.matmul(self.groups.back(weights), value)
        return found.view(count, 1, heads, size)


class _Layer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed
    """A layer's keys and values of the rows; the model writes new ones into it and is given those that are in use."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, now: _Now) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self.keys, self.values, self._now = keys, values, now

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_named: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one token a row, (N, heads, 1, d); gives what is in use, (N, heads, used, d)."""
        now, count = self._now, len(key_states)
        rows = torch.arange(count, device=key_states.device)
        assert self.keys is not None
        assert self.values is not None
        self.keys[rows, :, now.at] = key_states[:, :, 0]
        self.values[rows, :, now.at] = value_states[:, :, 0]
        now.layer += 1
        return self.keys[:count, :, : now.used], self.values[:count, :, : now.used]

    def get_seq_length(self) -> int:
        """Tokens of the longest row before the new one."""
        return self._now.used - 1


def takes_rows(model: Any) -> bool:
    """Whether rows come out together as they do alone: it is tried, with a beginning and without.

    Models whose attention is more than one softmax over scaled products, or that do not let it be replaced, do not take them.
    """
    return takes(model, lambda: _tried(model))


def _tried(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits behind a few tokens of three rows: together, and of each alone."""
    begin = some_ids(model, 1, 6)
    texts = [[*begin, *some_ids(model, 9, 2)], [*begin, *some_ids(model, 3, 1)], some_ids(model, 11, 3)]
    cache = DynamicCache(config=model.config)
    model(input_ids=torch.tensor([begin], device=model.device), past_key_values=cache, use_cache=True)
    rows = Rows(model, most=3)
    for beginning, some in ((Beginning(len(begin), cache), texts[:2]), (Beginning(), texts[2:])):
        reads = [Read(Request("", "generate", "", max_new_tokens=4), ids) for ids in some]
        ((chosen, pack),) = packs(reads, beginning.depth)
        rows.admit(beginning, chosen, pack, room=0)
    said = some_ids(model, 4, 3)
    for _ in range(2):
        together = rows.feed(said)
        texts = [[*text, token] for text, token in zip(texts, said, strict=True)]
    alone = [
        model(input_ids=torch.tensor([text], device=model.device), use_cache=False).logits[0, -1]
        for text in texts
    ]
    return together, torch.stack(alone)
