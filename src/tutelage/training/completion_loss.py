"""The loss of completions: cross-entropy summed over completion tokens, in nats, computed here and not by the model.

The loop divides it by the number of completion tokens of the whole optimizer step, so that the result does not depend on how
the step was cut into micro-batches (gradient accumulation).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded
from tutelage.models import soft_prompts
from tutelage.models.evaluation_mode import evaluation_mode
from tutelage.tokens.batch import IGNORE_INDEX, Batch, FlatBatch, FlatPairBatch, collate
from tutelage.training import encoder_decoder_packing, virtual_tokens


def loss_sum(model: Any, batch: Batch) -> torch.Tensor:
    """The summed cross-entropy of a micro-batch's completion tokens: a scalar with a gradient."""
    logits, targets = predictions(model, batch)
    return functional.cross_entropy(logits, targets, reduction="sum")


def predictions(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of a batch's predicted tokens, in at least fp32, and these tokens: (K, V) and (K,).

    The output layer is computed for predicted tokens only.
    """
    prompt = soft_prompts.soft_prompt(model)
    if isinstance(batch, FlatBatch):
        logits = (
            virtual_tokens.flat_logits(prompt, batch)
            if prompt is not None
            else model(
                input_ids=batch.ids,
                position_ids=batch.positions,
                logits_to_keep=batch.logits_to_keep,
                use_cache=False,
            ).logits[0]
        )
        return _at_least_float32(logits), batch.targets
    if isinstance(batch, FlatPairBatch):
        return _at_least_float32(encoder_decoder_packing.logits(model, batch)), batch.targets
    decoder_input = torch.full_like(batch.ids, model.config.decoder_start_token_id)
    decoder_input[:, 1:] = batch.ids[:, :-1]
    if prompt is None:
        inputs = {"input_ids": batch.source, "attention_mask": batch.source_mask, "use_cache": False}
    else:
        model, inputs = prompt.base, virtual_tokens.pair_inputs(prompt, batch.source, batch.source_mask)
    out = model(decoder_input_ids=decoder_input, **inputs)
    has_loss = batch.labels != IGNORE_INDEX
    return _at_least_float32(out.logits[has_loss]), batch.labels[has_loss]


def isolates_rows(model: Any, device: torch.device) -> bool:
    """Whether the model tells rows that lie end to end apart by their positions. If not, each row must go alone.

    This is tried and not looked up: models with recurrent state or ALiBi (Mamba, BLOOM, MPT), and some with learned
    positions (OPT), silently read such rows as one long row. The second of two rows must have the same logits whatever
    the first one is, and the same as alone. Behind a soft prompt the base is tried; a prefix, which precedes the whole
    sequence, isolates no rows.
    """
    prompt = soft_prompts.soft_prompt(model)
    if prompt is not None:
        model = prompt.base
    if model.config.is_encoder_decoder:
        return True
    if prompt is not None and prompt.prefix:
        return False
    vocabulary = min(model.config.get_text_config().vocab_size, 64)
    first, other, second = ([(start + 7 * i) % vocabulary for i in range(6)] for start in (1, 2, 3))
    positions = list(range(6)) * 2
    with evaluation_mode(model):
        after_first, after_other, alone = (
            model(
                input_ids=torch.tensor([ids], device=device),
                position_ids=torch.tensor([positions[: len(ids)]], device=device),
                use_cache=False,
            ).logits[0, -6:]
            for ids in (first + second, other + second, second)
        )
    return _are_isolated(alone, after_first, after_other)


def require_packable(model: Any, device: torch.device) -> None:
    """Check that rows of a pack give the same result as alone: by a trial, and for encoder-decoders by a list too.

    Raises:
        InputError: they do not, or the model's attention is not known to obey a mask.
    """
    model_type, paired = model.config.model_type, model.config.is_encoder_decoder
    reason = None
    if not isolates_rows(model, device):
        reason = "in this model rows that lie end to end read one another, or lose their positions"
    elif paired and model_type not in encoder_decoder_packing.PACKABLE:
        packable = ", ".join(sorted(encoder_decoder_packing.PACKABLE))
        reason = f"encoder-decoders that can be packed are {packable}"
    elif paired and not _isolates_pairs(model, device):
        reason = "in this model packed rows do not come out as they do alone"
    if reason is not None:
        raise InputError(
            f"the rows of {model_type} models cannot be packed",
            where="tune.packing",
            found=reason,
            fix="set tune.packing to false",
        )


def _isolates_pairs(model: Any, device: torch.device) -> bool:
    """Whether the second of two packed rows has the same logits whatever the first one is, and the same as alone."""
    vocabulary = min(model.config.get_text_config().vocab_size, 64)
    first, other, second = (
        Encoded(
            str(start),
            "",
            tuple((start + 5 * i) % vocabulary for i in range(6)),
            (True,) * 6,
            source=tuple((start + 7 * i) % vocabulary for i in range(7)),
        )
        for start in (1, 2, 3)
    )
    with evaluation_mode(model):
        packs = (collate([row, second], pad_id=0, device=device, flat=True) for row in (first, other))
        after_first, after_other = (
            encoder_decoder_packing.logits(model, pack)[-6:]
            for pack in packs
            if isinstance(pack, FlatPairBatch)
        )
        start = model.config.decoder_start_token_id
        alone = model(
            input_ids=torch.tensor([second.source], device=device),
            decoder_input_ids=torch.tensor([[start, *second.ids[:-1]]], device=device),
            use_cache=False,
        ).logits[0]
    return _are_isolated(alone, after_first, after_other)


def _are_isolated(alone: torch.Tensor, after_first: torch.Tensor, after_other: torch.Tensor) -> bool:
    """Whether a row's logits are those of the row alone, and do not depend on the row before it."""
    # Masked tokens add exact zeros; sums over another length may round differently, half precision at 1/128.
    wide = alone.dtype in (torch.float32, torch.float64)
    leak, rounding = (1e-5, 1e-3) if wide else (1e-2, 5e-2)
    size = alone.abs().max()
    return bool(
        (after_first - after_other).abs().max() <= leak * size
        and (after_first - alone).abs().max() <= rounding * size
    )


def _at_least_float32(logits: torch.Tensor) -> torch.Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
