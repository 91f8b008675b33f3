"""The loss: summed over completion tokens, in nats, whatever the model's own idea of it.

Dividing by the number of completion tokens of the whole optimizer step is the loop's part, so that the result does
not depend on how the step was cut into micro-batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from tutelage.tokens.batch import IGNORED, Batch, FlatBatch


def loss_sum(model: Any, batch: Batch) -> torch.Tensor:
    """The summed cross-entropy of a micro-batch's completion tokens: a scalar with a gradient.

    The output layer is computed only where a prediction is wanted. The sum is taken in at least fp32.
    """
    if isinstance(batch, FlatBatch):
        out = model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            logits_to_keep=batch.keep,
            use_cache=False,
        )
        return _cross_entropy(out.logits[0], batch.targets)
    start = model.config.decoder_start_token_id
    shifted = batch.labels.new_full(batch.labels.shape, start)
    shifted[:, 1:] = batch.labels[:, :-1].masked_fill(
        batch.labels[:, :-1] == IGNORED, model.config.pad_token_id
    )
    out = model(
        input_ids=batch.source,
        attention_mask=batch.source_mask,
        decoder_input_ids=shifted,
        use_cache=False,
    )
    bears = batch.labels != IGNORED
    return _cross_entropy(out.logits[bears], batch.labels[bears])


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(wide, targets, reduction="sum")
