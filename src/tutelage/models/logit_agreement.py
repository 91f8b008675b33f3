"""Compares two models by their logits: a written model must answer as the model in memory that it was made from.

How far the logits may differ is measured, not assumed: half of the weights, drawn at random, are moved to a neighbouring
number of their type, and what that does to the logits is the unit. A merge rounds each weight once, by at most half
that distance, and adds the same products in another order: it moves logits by about one unit (0.2 to 2.3 in 150 merges of
seven small models in fp32, bf16 and fp16). A merge that writes another model was off by 12,000 units and more in fp32;
in bf16 an adapter itself may be worth few units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models import folders
from tutelage.models.evaluation_mode import evaluation_mode

ROWS, LENGTH = 3, 24
MAX_UNITS = 16.0
"""Units by which logits may differ: seven times the most that was measured, as a router or a norm may amplify rounding."""
_EPSILONS: Mapping[str, float] = {
    "F16": 2.0**-10,
    "BF16": 2.0**-7,
    "float32": 2.0**-23,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float64": 2.0**-23,
}
"""By the types of safetensors and of torch; norms and rotary code compute in fp32 inside a float64 model."""


@dataclass(frozen=True, slots=True)
class ProbeRows:
    """Token ids on which models are compared: (ROWS, LENGTH), for an encoder and a decoder alike."""

    ids: Any
    encoder_decoder: bool

    def logits(self, model: Any) -> Any:
        """A model's logits for the rows in float64, (ROWS, LENGTH, vocabulary), without those of virtual tokens."""
        import torch

        ids = self.ids.to(model.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if self.encoder_decoder:
            inputs["decoder_input_ids"] = ids
        with evaluation_mode(model):
            logits = model(**inputs, use_cache=False).logits
        return logits[:, -ids.shape[1] :].double().cpu()


def draw_probe_rows(model: Any, *, encoder_decoder: bool, include: Sequence[int] = ()) -> ProbeRows:
    """Draw the rows: ids of the model's vocabulary, the same in every process, with some that must be among them.

    Args:
        model: a transformers or peft model.
        encoder_decoder: whether it is an encoder-decoder model.
        include: ids that have weights of their own in an adapter.
    """
    import torch

    n_tokens = min(model.get_input_embeddings().weight.shape[0], model.config.get_text_config().vocab_size)
    length = min(LENGTH, getattr(model.config, "max_position_embeddings", None) or LENGTH)
    ids = torch.randint(0, n_tokens, (ROWS, length), generator=torch.Generator().manual_seed(0))
    include = list(include)[: ids.numel()]
    ids.view(-1)[: len(include)] = torch.tensor(include, dtype=ids.dtype)
    return ProbeRows(ids, encoder_decoder)


def require_same_logits(
    expected: Any, model: Any, rows: ProbeRows, *, epsilon: float, subject: str, where: str, fix: str
) -> None:
    """Refuse a model whose logits differ from the expected ones by more than rounding its weights explains.

    Args:
        expected: the logits, from `ProbeRows.logits`.
        model: the written model, read back.
        rows: what `expected` was computed on.
        epsilon: the relative distance of neighbouring numbers in the coarsest type in use.
        subject: for the error, what was made.
        where: for the error, its place.
        fix: for the error, what can be done instead.

    Raises:
        InputError: they differ.
    """
    logits = rows.logits(model)
    difference = max_difference(expected, logits)
    if difference <= epsilon * float(expected.abs().max()):
        return
    allowed = MAX_UNITS * max_difference(logits, _perturbed_logits(model, rows, epsilon))
    if not difference <= allowed:
        raise InputError(
            f"{subject} answers otherwise than what it was made from, and was not written",
            where=where,
            found=f"logits differ by up to {difference:.2g}",
            expected=f"at most {allowed:.2g}, {MAX_UNITS:.0f} times what rounding the weights does",
            fix=fix,
        )


def max_difference(first: Any, second: Any) -> float:
    """The largest difference of two tensors; NaN where a number is not finite or their shapes differ."""
    return float((first - second).abs().max()) if first.shape == second.shape else float("nan")


def weights_epsilon(folder: Path, dtype: str = "float32") -> float:
    """The relative distance of neighbouring numbers in the coarsest type of a folder's weights, or of those in memory."""
    with folders.open_tensors(folder) as tensors:
        stored = {tensor.get_dtype() for tensor in tensors.values()}
    return max(_EPSILONS[dtype], *(_EPSILONS.get(name, 0.0) for name in stored))


def _perturbed_logits(model: Any, rows: ProbeRows, epsilon: float) -> Any:
    """The logits with half of the weights, drawn at random, moved to a neighbouring number; the weights are restored."""
    _flip_bits(model, epsilon)
    try:
        return rows.logits(model)
    finally:
        _flip_bits(model, epsilon)


def _flip_bits(model: Any, epsilon: float) -> None:
    """Flip, in weights drawn at random, the bit that is worth `epsilon` of the weight; doing it twice restores them."""
    import torch

    generator = torch.Generator().manual_seed(0)
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                bit = max(0, round(math.log2(epsilon / torch.finfo(parameter.dtype).eps)))
                bits = parameter.data.view(integers[parameter.element_size()])
                drawn = torch.randint(0, 2, bits.shape, generator=generator, dtype=torch.uint8)
                bits.bitwise_xor_(drawn.to(bits.device).to(bits.dtype) << bit)
