"""Encoded rows to tensors: the rows of a micro-batch lie end to end in one sequence, without padding.

Positions restart at each row, and transformers' mask functions tell the rows apart by that: attention never crosses
from one row to the next. Only the positions whose next token bears loss reach the output layer. Rows of encoder-decoder
models are padded, or, when they are packed, lie end to end on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from tutelage.core.types import Encoded
from tutelage.tokens.packing import first_fit_decreasing

IGNORE_INDEX = -100


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """Decoder-only rows end to end: T tokens, K of them to be predicted.

    Attributes:
        ids, positions: int64 (1, T); positions restart at each row.
        logits_to_keep: int64 (K,), the positions in the sequence to predict from.
        targets: int64 (K,), the tokens to predict there.
        completion: bool (K,), which targets are the completion's, the others are the prompt's; None when all are.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    logits_to_keep: torch.Tensor
    targets: torch.Tensor
    completion: torch.Tensor | None = None

    @property
    def n_loss(self) -> int:
        """The number of completion tokens that are to be predicted."""
        return int(self.targets.numel() if self.completion is None else self.completion.sum())


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Encoder-decoder rows, padded at the right: B rows, S source and T target tokens.

    Attributes:
        source, source_mask: int64 (B, S).
        ids: int64 (B, T), the decoder's side.
        labels: int64 (B, T), IGNORE_INDEX where a token bears no loss.
    """

    source: torch.Tensor
    source_mask: torch.Tensor
    ids: torch.Tensor
    labels: torch.Tensor

    @property
    def n_loss(self) -> int:
        """The number of tokens that bear loss."""
        return int((self.labels != IGNORE_INDEX).sum())


@dataclass(frozen=True, slots=True)
class FlatPairBatch:
    """Encoder-decoder rows end to end on both sides: S source and T target tokens, K of these to be predicted.

    Attributes:
        source, source_positions: int64 (1, S); positions restart at each row.
        source_rows: int64 (S,), the index of each token's row.
        ids, positions, rows: the same for the decoder's side; its inputs are `ids` shifted by one inside each row.
        logits_to_keep: int64 (K,), the positions that predict their own token.
        targets: int64 (K,), the tokens to predict there.
    """

    source: torch.Tensor
    source_positions: torch.Tensor
    source_rows: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    logits_to_keep: torch.Tensor
    targets: torch.Tensor

    @property
    def n_loss(self) -> int:
        """The number of tokens that bear loss."""
        return int(self.targets.numel())


Batch = FlatBatch | PairBatch | FlatPairBatch


def size(row: Encoded) -> int:
    """The number of tokens of a row, on both sides."""
    return len(row.ids) + len(row.source or ())


def micro_batches(rows: Sequence[Encoded], *, tokens: int) -> list[list[Encoded]]:
    """Split one optimizer step's rows into micro-batches of at most `tokens` tokens; a longer row is one of its own.

    By first fit, longest row first; the result does not depend on the order of the rows.
    """
    ordered = sorted(rows, key=lambda row: (-size(row), row.id))
    bins = first_fit_decreasing([size(row) for row in ordered], tokens)
    return [[ordered[index] for index in indices] for indices in bins]


def collate(
    rows: Sequence[Encoded],
    *,
    pad_id: int,
    device: torch.device | None = None,
    flat: bool = False,
    prompts: bool = False,
) -> Batch:
    """Put the rows of one micro-batch into tensors.

    Args:
        rows: all for a decoder-only model, or all with a source.
        pad_id: for encoder-decoder rows.
        device: where the tensors go.
        flat: lay the rows of encoder-decoder models end to end; others always are.
        prompts: let the tokens of prompts be predicted too, all but each row's first (decoder-only rows).
    """
    if rows[0].source is not None:
        return _flat_pairs(rows, device) if flat else _pairs(rows, pad_id=pad_id, device=device)
    ids, positions, _ = _end_to_end([row.ids for row in rows], device)
    loss_mask = torch.tensor([bears for row in rows for bears in row.loss_mask], device=device)
    # Nothing predicts a row's first token.
    predicted = ((loss_mask | prompts) & (positions[0] > 0)).nonzero()[:, 0]
    completion = loss_mask[predicted] if prompts else None
    return FlatBatch(ids, positions, predicted - 1, ids[0, predicted], completion)


def _pairs(rows: Sequence[Encoded], *, pad_id: int, device: torch.device | None) -> PairBatch:
    def padded(sequences: Iterable[Sequence[int]], value: int) -> torch.Tensor:
        tensors = [torch.tensor(sequence, dtype=torch.long) for sequence in sequences]
        return pad_sequence(tensors, batch_first=True, padding_value=value).to(device)

    labels = (
        [token if bears else IGNORE_INDEX for token, bears in zip(row.ids, row.loss_mask, strict=True)]
        for row in rows
    )
    sources = [row.source or () for row in rows]
    return PairBatch(
        padded(sources, pad_id),
        padded([[1] * len(source) for source in sources], 0),
        padded([row.ids for row in rows], pad_id),
        padded(labels, IGNORE_INDEX),
    )


def _flat_pairs(rows: Sequence[Encoded], device: torch.device | None) -> FlatPairBatch:
    sources = [row.source or () for row in rows]
    if not all(sources):
        raise ValueError("a row without source tokens would read the others' in its cross-attention")
    source, source_positions, source_rows = _end_to_end(sources, device)
    ids, positions, row_indices = _end_to_end([row.ids for row in rows], device)
    loss_mask = torch.tensor([bears for row in rows for bears in row.loss_mask], device=device)
    logits_to_keep = loss_mask.nonzero()[:, 0]
    targets = ids[0].index_select(0, logits_to_keep)
    return FlatPairBatch(
        source, source_positions, source_rows, ids, positions, row_indices, logits_to_keep, targets
    )


def _end_to_end(
    rows: Sequence[Sequence[int]], device: torch.device | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids (1, T), their positions in their row (1, T), and the indices of their rows (T,)."""
    ids = torch.tensor([[token for row in rows for token in row]], device=device)
    positions = torch.tensor([[position for row in rows for position in range(len(row))]], device=device)
    row_indices = torch.tensor([index for index, row in enumerate(rows) for _ in row], device=device)
    return ids, positions, row_indices
