"""Packed rows of encoder-decoder models: masks keep each row to itself, and positions start anew in each row.

transformers takes a mask of four dimensions as it is, in the encoder, the decoder and between them. T5's positions
are distances, which are right inside a row already. BART and its relatives look positions up in a table: the module of
that table takes positions as an argument, which their encoders do not pass on, so they are inserted for one call.
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
"""Model types that can be packed. Each has a test; others may attend in blocks or windows, whatever the mask."""


def logits(model: Any, batch: FlatPairBatch) -> torch.Tensor:
    """The logits of a pack's predictions: (K, vocabulary).

    A row's encoder and decoder attend to that row only, and its decoder to nothing later. The decoder's input starts with
    the model's start token in each row.
    """
    decoder_input = batch.ids.roll(1, dims=1)
    decoder_input[batch.positions == 0] = model.config.decoder_start_token_id
    encoder, decoder = model.get_encoder(), model.get_decoder()
    same_row = batch.rows[:, None] == batch.rows
    with ExitStack() as stack:
        stack.enter_context(_positions(encoder, batch.source_positions[0]))
        stack.enter_context(_positions(decoder, batch.positions[0]))
        encoded = encoder(
            input_ids=batch.source,
            attention_mask=_additive(batch.source_rows[:, None] == batch.source_rows, model.dtype),
        )
        out = model(
            encoder_outputs=encoded,
            attention_mask=_additive(batch.rows[:, None] == batch.source_rows, model.dtype),
            decoder_input_ids=decoder_input,
            decoder_attention_mask=_additive(same_row.tril(), model.dtype),
            use_cache=False,
        )
    return out.logits[0].index_select(0, batch.logits_to_keep)  # type: ignore[no-any-return]  # transformers is not typed


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """An additive attention mask (1, 1, queries, keys): 0 for a visible key, the least finite number for another.

    Not a boolean mask, which eager attention would add as 0 and 1. Every token sees one key at least, so that the softmax
    gives the others weights of exactly 0.
    """
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[None, None]


@contextmanager
def _positions(side: nn.Module, positions: torch.Tensor) -> Iterator[None]:
    """Inside the block, the position table of an encoder or a decoder looks up `positions` (T,)."""
    table = getattr(side, "embed_positions", None)
    if table is None or "position_ids" not in signature(type(table).forward).parameters:
        yield
        return
    wrapper = vars(table).get(
        "forward"
    )  # set when another library, such as accelerate, has wrapped the module
    forward = wrapper or partial(type(table).forward, table)
    table.forward = lambda ids, *_, **__: forward(ids, position_ids=positions)
    try:
        yield
    finally:
        if wrapper is None:
            del table.forward
        else:
            table.forward = wrapper
