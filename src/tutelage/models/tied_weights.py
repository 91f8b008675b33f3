"""Weights that stand in several places of a model: given numbers of their own where an adapter changes only one place.

Most small models use their embeddings as the output layer too. Merged into the one tensor, an adapter of the output
layer would change what the model reads as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SCALE_WHEN_TIED = ("switch_transformers",)
"""Families in which the scale hangs on `tie_word_embeddings` itself, and that read false there as it stands."""

_ALWAYS_TIED = ("umt5",)
"""Families whose config takes no false; transformers ties what is equal in the file, and scales the output all the same."""


def untie_targets(wrapped: Any) -> None:
    """Give each layer that an adapter changes a weight of its own where it shares one.

    Args:
        wrapped: a peft model; changed in place.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    uses: dict[int, int] = {}
    for _, parameter in wrapped.named_parameters(remove_duplicate=False):
        uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    for module in wrapped.modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        layer = module.get_base_layer()
        for name, parameter in list(layer.named_parameters(recurse=False)):
            if uses[id(parameter)] > 1:
                uses[id(parameter)] -= 1
                layer.register_parameter(name, torch.nn.Parameter(parameter.detach().clone()))


def went_apart(model: Any, pairs: Mapping[str, str]) -> bool:
    """Whether weights that were one tensor before a merge are two now.

    Args:
        model: the merged transformers model.
        pairs: the base's `all_tied_weights_keys`, which names them.
    """
    return any(model.get_parameter(one) is not model.get_parameter(other) for one, other in pairs.items())


def untie(model: Any, *, scaled: bool) -> None:
    """Make a model whose tied weights went apart say so: each has its own numbers, and the config ties none.

    Args:
        model: the merged transformers model; changed in place.
        scaled: from `scales_output`, of the base.
    """
    import torch

    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in seen:
                module.register_parameter(name, torch.nn.Parameter(parameter.detach().clone()))
            seen.add(id(parameter))
    config = model.config
    if scaled:
        output = model.get_output_embeddings().weight
        output.data = output.data * model.model_dim**-0.5
        if hasattr(config, "scale_decoder_outputs"):
            config.scale_decoder_outputs = False
    for part in (config, config.get_text_config(decoder=True)):
        part.tie_word_embeddings = config.model_type in _ALWAYS_TIED
    model.all_tied_weights_keys = {}


def scales_output(config: Any) -> bool:
    """Whether what goes into the output layer is scaled by 1/sqrt(width), and is not once config.json ties nothing (T5)."""
    if config.model_type in _SCALE_WHEN_TIED:
        return bool(config.tie_word_embeddings)
    return bool(getattr(config, "scale_decoder_outputs", False))
