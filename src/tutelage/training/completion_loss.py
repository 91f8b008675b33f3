"""The loss: summed over completion tokens, in nats, whatever the model's own idea of it.

Dividing by the number of completion tokens of the whole optimizer step is the loop's part, so that the result does
not depend on how the step was cut into micro-batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded
from tutelage.models import soft_prompts
from tutelage.tokens.batch import IGNORE_INDEX, Batch, FlatBatch, FlatPairBatch, collate
from tutelage.training import encoder_decoder_packing, virtual_tokens


def loss_sum(model: Any, batch: Batch) -> torch.Tensor:
    """The summed cross-entropy of a micro-batch's completion tokens: a scalar with a gradient."""
    logits, targets = predictions(model, batch)
    return functional.cross_entropy(logits, targets, reduction="sum")


def predictions(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model says at the places that are to be predicted, and what stands there: (K, V) and (K,).

    The output layer is computed only where a prediction is wanted. The logits are in at least fp32.
    """
    prompt = soft_prompts.soft_prompt(model)
    if isinstance(batch, FlatBatch):
        if prompt is not None:
            return _wide(virtual_tokens.flat_logits(prompt, batch)), batch.targets
        out = model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            logits_to_keep=batch.logits_to_keep,
            use_cache=False,
        )
        return _wide(out.logits[0]), batch.targets
    if isinstance(batch, FlatPairBatch):
        return _wide(encoder_decoder_packing.logits(model, batch)), batch.targets
    shifted = torch.full_like(batch.ids, model.config.decoder_start_token_id)
    shifted[:, 1:] = batch.ids[:, :-1]
    if prompt is None:
        given = {"input_ids": batch.source, "attention_mask": batch.source_mask, "use_cache": False}
    else:
        model, given = prompt.base, virtual_tokens.pair_inputs(prompt, batch.source, batch.source_mask)
    out = model(decoder_input_ids=shifted, **given)
    bears = batch.labels != IGNORE_INDEX
    return _wide(out.logits[bears]), batch.labels[bears]


def isolates_rows(model: Any, device: torch.device) -> bool:
    """Whether rows that lie end to end are told apart by their positions; else each must go alone.

    It is tried, not looked up: models with recurrent state or ALiBi (Mamba, BLOOM, MPT), and some with learned
    positions (OPT), take such rows for one long row without a word. The second of two rows must give the same
    logits whatever the first one says, and the same as alone. Behind a prompt the model below is tried; a prefix,
    which stands once before a whole sequence, keeps none apart.
    """
    prompt = soft_prompts.soft_prompt(model)
    if prompt is not None:
        model = prompt.base
    if model.config.is_encoder_decoder:
        return True
    if prompt is not None and prompt.prefix:
        return False
    top = min(model.config.get_text_config().vocab_size, 64)
    first, other, second = ([(start + 7 * i) % top for i in range(6)] for start in (1, 2, 3))
    places = list(range(6))
    training = model.training
    model.eval()
    with torch.no_grad():
        after_first, after_other, alone = (
            model(
                input_ids=torch.tensor([ids], device=device),
                position_ids=torch.tensor([(places * 2)[: len(ids)]], device=device),
                use_cache=False,
            ).logits[0, -6:]
            for ids in (first + second, other + second, second)
        )
    model.train(training)
    return _apart(alone, after_first, after_other)


def require_packable(model: Any, device: torch.device) -> None:
    """See that rows of a pack come out of this model as they do alone: a trial, and for encoder-decoders a list.

    Raises:
        InputError: they do not, or the model's attention is not known to obey a mask.
    """
    config = model.config
    kind = config.model_type
    if not config.is_encoder_decoder:
        if not isolates_rows(model, device):
            raise _not_packable(
                kind, "in this model rows that lie end to end read one another, or lose their positions"
            )
    elif kind not in encoder_decoder_packing.PACKABLE:
        raise _not_packable(
            kind,
            f"encoder-decoders that can be packed are {', '.join(sorted(encoder_decoder_packing.PACKABLE))}",
        )
    elif not _keeps_pairs_apart(model, device):
        raise _not_packable(kind, "in this model packed rows do not come out as they do alone")


def _keeps_pairs_apart(model: Any, device: torch.device) -> bool:
    """Whether the second of two packed rows gives the same logits whatever the first says, and the same as alone."""
    top = min(model.config.get_text_config().vocab_size, 64)
    first, other, second = (
        Encoded(
            str(start),
            "",
            tuple((start + 5 * i) % top for i in range(6)),
            (True,) * 6,
            source=tuple((start + 7 * i) % top for i in range(7)),
        )
        for start in (1, 2, 3)
    )
    training = model.training
    model.eval()
    with torch.no_grad():
        after_first, after_other = (
            encoder_decoder_packing.logits(model, _flat([row, second], device))[-6:] for row in (first, other)
        )
        start = model.config.decoder_start_token_id
        alone = model(
            input_ids=torch.tensor([second.source], device=device),
            decoder_input_ids=torch.tensor([[start, *second.ids[:-1]]], device=device),
            use_cache=False,
        ).logits[0]
    model.train(training)
    return _apart(alone, after_first, after_other)


def _flat(rows: list[Encoded], device: torch.device) -> FlatPairBatch:
    batch = collate(rows, pad_id=0, device=device, flat=True)
    assert isinstance(batch, FlatPairBatch)
    return batch


def _apart(alone: torch.Tensor, after_first: torch.Tensor, after_other: torch.Tensor) -> bool:
    """Whether a row's logits are those of the row alone, and do not depend on the row before it."""
    # Masked places add exact zeros; another length may round otherwise, half precision at 1/128.
    wide = alone.dtype in (torch.float32, torch.float64)
    leak, rounding = (1e-5, 1e-3) if wide else (1e-2, 5e-2)
    size = alone.abs().max()
    return bool(
        (after_first - after_other).abs().max() <= leak * size
        and (after_first - alone).abs().max() <= rounding * size
    )


def _not_packable(kind: str, found: str) -> InputError:
    return InputError(
        f"the rows of {kind} models cannot be packed",
        where="tune.packing",
        found=found,
        fix="set tune.packing to false",
    )


def _wide(logits: torch.Tensor) -> torch.Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
