"""Encoder-decoder rows that lie end to end: masks that keep each row to itself, and positions that restart.

transformers takes a mask of four dimensions as it is, in the encoder, the decoder and between them. T5's positions
are distances, which inside a row are right already. BART and its like look positions up in a table: their position
modules take positions as an argument, which their encoders do not pass on, so they are handed in for one call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import nn

from tutelage.tokens.batch import FlatPairBatch

PACKABLE = frozenset({"bart", "mbart", "mt5", "pegasus", "plbart", "t5", "umt5"})
"""Model types that are packed. Each is in the tests; others may attend in blocks or windows, past any mask."""


def logits(model: Any, batch: FlatPairBatch) -> torch.Tensor:
    """The predictions at the places to keep: (K, vocabulary).

    Encoder and decoder read their own row only, the decoder nothing that comes later; the decoder's input starts
    with the model's start token in each row.
    """
    shifted = batch.ids.roll(1, dims=1)
    shifted[batch.positions == 0] = model.config.decoder_start_token_id
    encoder, decoder = model.get_encoder(), model.get_decoder()
    own = batch.rows[:, None] == batch.rows
    with ExitStack() as stack:
        stack.enter_context(_positions(encoder, batch.source_positions[0]))
        stack.enter_context(_positions(decoder, batch.positions[0]))
        read = encoder(
            input_ids=batch.source,
            attention_mask=_added(batch.source_rows[:, None] == batch.source_rows, model.dtype),
        )
        out = model(
            encoder_outputs=read,
            attention_mask=_added(batch.rows[:, None] == batch.source_rows, model.dtype),
            decoder_input_ids=shifted,
            decoder_attention_mask=_added(own.tril(), model.dtype),
            use_cache=False,
        )
    return out.logits[0].index_select(0, batch.logits_to_keep)  # type: ignore[no-any-return]  # transformers is not typed


def _added(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores, (1, 1, queries, keys): 0 where a key is seen, else the least finite number.

    Not a boolean mask, which eager attention would add as 0 and 1. Every token sees one at least, so that its softmax
    gives the others weights of exactly 0.
    """
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[None, None]


@contextmanager
def _positions(side: nn.Module, positions: torch.Tensor) -> Iterator[None]:
    """Inside the block, the position table of an encoder or a decoder looks up `positions` (T,)."""
    table = getattr(side, "embed_positions", None)
    if table is None or "position_ids" not in signature(type(table).forward).parameters:
        yield
        return
    own = vars(table).get("forward")  # somebody else, such as accelerate, may have wrapped it
    table.forward = partial(_look_up, own or partial(type(table).forward, table), positions)
    try:
        yield
    finally:
        if own is None:
            del table.forward
        else:
            table.forward = own


def _look_up(forward: Any, positions: torch.Tensor, ids: torch.Tensor, *_: Any, **__: Any) -> Any:
    return forward(ids, position_ids=positions)
