"""Compares what was written with what was in memory: the same rows through both must give the same logits.

How far they may lie apart is measured, not assumed: half of the weights, drawn at random, are moved to a neighbouring
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

ROWS, LENGTH = 3, 24
MOST = 16.0
"""Units that logits may be off: seven times the most that was measured, as a router or a norm may amplify rounding more."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Token ids that are put through models: (ROWS, LENGTH), for an encoder and a decoder alike."""

    ids: Any
    pairs: bool

    def logits(self, model: Any) -> Any:
        """What a model says of the rows, in float64: (ROWS, LENGTH, vocabulary); behind a prompt only of the rows."""
        import torch

        ids = self.ids.to(model.device)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        training = model.training
        model.eval()
        with torch.no_grad():
            out = model(**given, **({"decoder_input_ids": ids} if self.pairs else {}), use_cache=False).logits
        model.train(training)
        return out[:, -ids.shape[1] :].double().cpu()


def rows_for(model: Any, *, pairs: bool, also: Sequence[int] = ()) -> Rows:
    """Draw the rows: ids of the model's vocabulary, the same in every process, with some that must be among them.

    Args:
        model: a transformers or peft model.
        pairs: whether it is an encoder-decoder model.
        also: ids that have weights of their own in an adapter.
    """
    import torch

    most = min(model.get_input_embeddings().weight.shape[0], model.config.get_text_config().vocab_size)
    room = getattr(model.config, "max_position_embeddings", None) or LENGTH
    ids = torch.randint(0, most, (ROWS, min(LENGTH, room)), generator=torch.Generator().manual_seed(0))
    also = list(also)[: ids.numel()]
    ids.view(-1)[: len(also)] = torch.tensor(also, dtype=ids.dtype)
    return Rows(ids, pairs)


def require_same(want: Any, model: Any, rows: Rows, *, grain: float, what: str, where: str, fix: str) -> None:
    """Refuse a model whose logits differ from the wanted ones by more than rounding its weights explains.

    Args:
        want: the logits, from `Rows.logits`.
        model: the written model, read back.
        rows: what `want` was computed on.
        grain: the relative distance of neighbouring numbers in the coarsest type in use.
        what: for the error, what was made.
        where: for the error, its place.
        fix: for the error, what can be done instead.

    Raises:
        InputError: they differ.
    """
    logits = rows.logits(model)
    off = distance(want, logits)
    if off <= grain * float(want.abs().max()):
        return
    allowed = MOST * distance(logits, _moved(model, rows, grain))
    if not off <= allowed:
        raise InputError(
            f"{what} answers otherwise than what it was made from, and was not written",
            where=where,
            found=f"logits differ by up to {off:.2g}",
            expected=f"at most {allowed:.2g}, {MOST:.0f} times what rounding the weights does",
            fix=fix,
        )


def distance(one: Any, other: Any) -> float:
    """The largest distance of two tensors; NaN where one of them is not finite or they differ in shape."""
    return float((one - other).abs().max()) if one.shape == other.shape else float("nan")


def grain_of(folder: Path, dtype: str = "float32") -> float:
    """The relative distance of neighbouring numbers in the coarsest type of a folder's weights, or of those in memory."""
    return max(_GRAINS[dtype], *(_GRAINS.get(kind, 0.0) for kind in _types(folder)))


_GRAINS: Mapping[str, float] = {
    "F16": 2.0**-10,
    "BF16": 2.0**-7,
    "float32": 2.0**-23,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float64": 2.0**-23,
}
"""By the types of safetensors and of torch; norms and rotary code compute in fp32 inside a float64 model."""


def _types(folder: Path) -> set[str]:
    from safetensors import safe_open

    kinds = set()
    for path in folders.weight_files(folder):
        with safe_open(path, framework="np") as file:
            kinds |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  # no mapping
    return kinds


def _moved(model: Any, rows: Rows, grain: float) -> Any:
    """The logits while half of the weights, drawn at random, are at a neighbouring number; the weights are put back."""
    _flip(model, grain)
    try:
        return rows.logits(model)
    finally:
        _flip(model, grain)


def _flip(model: Any, grain: float) -> None:
    """Flip, in the weights that chance picks, the bit whose worth is `grain` of the weight; twice is not at all."""
    import torch

    draw = torch.Generator().manual_seed(0)
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                bit = max(0, round(math.log2(grain / torch.finfo(parameter.dtype).eps)))
                bits = parameter.data.view(whole[parameter.element_size()])
                picked = torch.randint(0, 2, bits.shape, generator=draw, dtype=torch.uint8).to(bits.device)
                bits.bitwise_xor_(picked.to(bits.dtype) << bit)
