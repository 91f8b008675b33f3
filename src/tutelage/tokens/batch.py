"""Rows into tensors without padding: the rows of a micro-batch lie end to end in one sequence.

Positions restart at each row, which is how transformers' mask functions tell the rows apart (attention never
crosses from one to the next). Only the places whose next token bears loss reach the output layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tutelage.core.nouns import Encoded

IGNORED = -100


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """Decoder-only rows end to end: T tokens, K of them to be predicted.

    `ids` and `positions` int64 (1, T); `keep` int64 (K,), the places to predict from; `targets` int64 (K,).
    """

    ids: torch.Tensor
    positions: torch.Tensor
    keep: torch.Tensor
    targets: torch.Tensor

    @property
    def n_loss(self) -> int:
        """Loss-bearing tokens."""
        return int(self.targets.numel())


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Encoder-decoder rows, padded at the right: B rows, S source and T target tokens.

    `source` and `source_mask` int64 (B, S); `ids` int64 (B, T), the decoder's side; `labels` the same,
    IGNORED where no loss is.
    """

    source: torch.Tensor
    source_mask: torch.Tensor
    ids: torch.Tensor
    labels: torch.Tensor

    @property
    def n_loss(self) -> int:
        """Loss-bearing tokens."""
        return int((self.labels != IGNORED).sum())


Batch = FlatBatch | PairBatch


def size(row: Encoded) -> int:
    """The tokens that a row costs."""
    return len(row.ids) + len(row.source or ())


def micro_batches(rows: Sequence[Encoded], *, tokens: int) -> list[list[Encoded]]:
    """Cut one optimizer step's rows into micro-batches of at most `tokens` tokens (a longer row goes alone).

    First fit, longest first; the result depends on the rows only.
    """
    bins: list[list[Encoded]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda r: (-size(r), r.id)):
        cost = size(row)
        for index, free in enumerate(room):
            if cost <= free:
                bins[index].append(row)
                room[index] -= cost
                break
        else:
            bins.append([row])
            room.append(tokens - cost)
    return bins


def collate(rows: Sequence[Encoded], *, pad_id: int, device: torch.device | None = None) -> Batch:
    """One micro-batch as tensors."""
    if rows[0].source is not None:
        return _pairs(rows, pad_id=pad_id, device=device)
    ids: list[int] = []
    positions: list[int] = []
    keep: list[int] = []
    targets: list[int] = []
    for row in rows:
        start = len(ids)
        ids += row.ids
        positions += range(len(row.ids))
        for place in range(1, len(row.ids)):
            if row.loss_mask[place]:
                keep.append(start + place - 1)
                targets.append(row.ids[place])
    return FlatBatch(
        torch.tensor([ids], device=device),
        torch.tensor([positions], device=device),
        torch.tensor(keep, dtype=torch.long, device=device),
        torch.tensor(targets, dtype=torch.long, device=device),
    )


def _pairs(rows: Sequence[Encoded], *, pad_id: int, device: torch.device | None) -> PairBatch:
    wide = max(len(row.source or ()) for row in rows)
    long = max(len(row.ids) for row in rows)
    source = torch.full((len(rows), wide), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), wide), dtype=torch.long)
    ids = torch.full((len(rows), long), pad_id, dtype=torch.long)
    labels = torch.full((len(rows), long), IGNORED, dtype=torch.long)
    for index, row in enumerate(rows):
        text = row.source or ()
        source[index, : len(text)] = torch.tensor(text)
        mask[index, : len(text)] = 1
        wanted = [token if bears else IGNORED for token, bears in zip(row.ids, row.loss_mask, strict=True)]
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        labels[index, : len(wanted)] = torch.tensor(wanted)
    return PairBatch(source.to(device), mask.to(device), ids.to(device), labels.to(device))
