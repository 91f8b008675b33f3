"""Unties weights that a model uses in several places, where an adapter changes only one of them.

Most small models use their embeddings as the output layer too. Merged into the one tensor, an adapter of the output
layer would change the embeddings as well.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

_SCALE_WHEN_TIED = ("switch_transformers",)
"""Families in which the scale depends on `tie_word_embeddings` itself, which may be set to false."""

_ALWAYS_TIED = ("umt5",)
"""Families that are tied whatever their config says: transformers ties what is equal in the file, and scales the output."""


def untie_targets(wrapped: Any) -> None:
    """Copy the weight of each layer that an adapter changes, where the layer shares it.

    Args:
        wrapped: a peft model; changed in place.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    uses = Counter(id(parameter) for _, parameter in wrapped.named_parameters(remove_duplicate=False))
    for module in wrapped.modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        layer = module.get_base_layer()
        for name, parameter in list(layer.named_parameters(recurse=False)):
            if uses[id(parameter)] > 1:
                uses[id(parameter)] -= 1
                layer.register_parameter(name, torch.nn.Parameter(parameter.detach().clone()))


def untie(model: Any, *, scaled: bool) -> None:
    """Give each tied weight of a model a tensor of its own, and make the config say that none is tied.

    Args:
        model: the merged transformers model; changed in place.
        scaled: from `scales_output`, of the base.
    """
    import torch

    visited: set[int] = set()
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in visited:
                module.register_parameter(name, torch.nn.Parameter(parameter.detach().clone()))
            visited.add(id(parameter))
    config = model.config
    if scaled:
        output = model.get_output_embeddings().weight
        output.data = output.data * model.model_dim**-0.5
        if hasattr(config, "scale_decoder_outputs"):
            config.scale_decoder_outputs = False
    for settings in (config, config.get_text_config(decoder=True)):
        settings.tie_word_embeddings = config.model_type in _ALWAYS_TIED
    model.all_tied_weights_keys = {}


def scales_output(config: Any) -> bool:
    """Whether the output layer's input is scaled by 1/sqrt(width) only as long as config.json ties weights (T5)."""
    if config.model_type in _SCALE_WHEN_TIED:
        return bool(config.tie_word_embeddings)
    return bool(getattr(config, "scale_decoder_outputs", False))
