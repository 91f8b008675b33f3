"""Rows into tensors without padding: the rows of a micro-batch lie end to end in one sequence.

Positions restart at each row, which is how transformers' mask functions tell the rows apart (attention never
crosses from one to the next). Only the places whose next token bears loss reach the output layer. Rows of
encoder-decoder models are padded, or, when they are packed, lie end to end on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tutelage.core.types import Encoded
from tutelage.tokens.packing import first_fit

IGNORED = -100


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """Decoder-only rows end to end: T tokens, K of them to be predicted.

    `ids` and `positions` int64 (1, T); `keep` int64 (K,), the places to predict from; `targets` int64 (K,).
    `completion` bool (K,): which targets are the completion's, the others are the prompt's; None when all are.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    keep: torch.Tensor
    targets: torch.Tensor
    completion: torch.Tensor | None = None

    @property
    def n_loss(self) -> int:
        """Tokens of completions that are to be predicted."""
        return int(self.targets.numel() if self.completion is None else self.completion.sum())


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


@dataclass(frozen=True, slots=True)
class FlatPairBatch:
    """Encoder-decoder rows end to end on both sides: S source tokens, T of the decoder's, K of them to be predicted.

    All int64. `source` and `source_positions` (1, S), `source_rows` (S,): which row a token is of. `ids`, `positions`
    and `rows` are the same for the decoder's side (its inputs are `ids` shifted by one inside each row); `keep` (K,):
    the places that predict their own token, `targets` (K,).
    """

    source: torch.Tensor
    source_positions: torch.Tensor
    source_rows: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    keep: torch.Tensor
    targets: torch.Tensor

    @property
    def n_loss(self) -> int:
        """Loss-bearing tokens."""
        return int(self.targets.numel())


Batch = FlatBatch | PairBatch | FlatPairBatch


def size(row: Encoded) -> int:
    """The tokens that a row costs."""
    return len(row.ids) + len(row.source or ())


def micro_batches(rows: Sequence[Encoded], *, tokens: int) -> list[list[Encoded]]:
    """Cut one optimizer step's rows into micro-batches of at most `tokens` tokens (a longer row goes alone).

    First fit, longest first; the result depends on the rows only.
    """
    ordered = sorted(rows, key=lambda r: (-size(r), r.id))
    bins = first_fit([size(row) for row in ordered], tokens)
    return [[ordered[index] for index in chosen] for chosen in bins]


def collate(
    rows: Sequence[Encoded],
    *,
    pad_id: int,
    device: torch.device | None = None,
    flat: bool = False,
    prompts: bool = False,
) -> Batch:
    """One micro-batch as tensors.

    Args:
        rows: all for a decoder-only model, or all with a source.
        pad_id: for encoder-decoder rows.
        device: where the tensors go.
        flat: lay the rows of encoder-decoder models end to end; others always are.
        prompts: let the tokens of prompts be predicted too, all but each row's first (decoder-only rows).
    """
    if rows[0].source is not None:
        return _flat_pairs(rows, device) if flat else _pairs(rows, pad_id=pad_id, device=device)
    ids: list[int] = []
    positions: list[int] = []
    keep: list[int] = []
    targets: list[int] = []
    completion: list[bool] = []
    for row in rows:
        start = len(ids)
        ids += row.ids
        positions += range(len(row.ids))
        for place in range(1, len(row.ids)):
            if prompts or row.loss_mask[place]:
                keep.append(start + place - 1)
                targets.append(row.ids[place])
                completion.append(row.loss_mask[place])
    return FlatBatch(
        torch.tensor([ids], device=device),
        torch.tensor([positions], device=device),
        torch.tensor(keep, dtype=torch.long, device=device),
        torch.tensor(targets, dtype=torch.long, device=device),
        torch.tensor(completion, dtype=torch.bool, device=device) if prompts else None,
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


def _flat_pairs(rows: Sequence[Encoded], device: torch.device | None) -> FlatPairBatch:
    texts = [row.source or () for row in rows]
    if not all(texts):
        raise ValueError("a row without source tokens would read the others' in its cross-attention")
    source, source_positions, source_rows = _end_to_end(texts, device)
    ids, positions, numbers = _end_to_end([row.ids for row in rows], device)
    bears = torch.tensor([bears for row in rows for bears in row.loss_mask], device=device)
    keep = bears.nonzero()[:, 0]
    return FlatPairBatch(
        source, source_positions, source_rows, ids, positions, numbers, keep, ids[0].index_select(0, keep)
    )


def _end_to_end(
    texts: Sequence[Sequence[int]], device: torch.device | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids (1, T), their positions in their text (1, T), and the texts' numbers (T,)."""
    ids = torch.tensor([[token for text in texts for token in text]], device=device)
    positions = torch.tensor([[place for text in texts for place in range(len(text))]], device=device)
    numbers = torch.tensor([number for number, text in enumerate(texts) for _ in text], device=device)
    return ids, positions, numbers
