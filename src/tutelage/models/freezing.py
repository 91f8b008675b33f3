"""Freezes weights of a model that is tuned in full: by their names, or all below the last layers.

Autograd stops where nothing below needs a gradient, so frozen first layers store no activations and cost no backward
pass. That holds only while nothing that runs before them is trained: embeddings tied to the output layer stay frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.models.evaluation_mode import evaluation_mode


def freeze(model: Any, patterns: Sequence[str]) -> None:
    """Freeze the weights whose names match a pattern, such as `model.embed_tokens.*`; all others are trained.

    A tied weight has one name, that of the first module that has it.

    Args:
        model: a transformers model.
        patterns: of whole names, with `*`, `?` and `[...]` as in file names.

    Raises:
        InputError: a pattern that matches no weight, or patterns that match all.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(
                "no weight's name fits the pattern",
                where="tune.freeze",
                found=pattern,
                expected=f"names such as {names[0]} or {names[-1]}",
                fix=did_you_mean(pattern, names) or f"write *{pattern}* for a part of a name",
            )
    for name, weight in model.named_parameters():
        weight.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in patterns))
    if not any(weight.requires_grad for weight in model.parameters()):
        raise InputError(
            "everything would be frozen, and nothing would be trained",
            where="tune.freeze",
            found=", ".join(patterns),
            fix="leave some weights out",
        )


def train_last(model: Any, count: int) -> None:
    """Freeze everything before the last `count` layers; these and the modules that run after them are trained.

    The order of the modules is found by running the model once on one token. Weights that are also used earlier (tied
    embeddings) stay frozen, because their gradient would need the whole backward pass.

    Args:
        model: a transformers model; of an encoder-decoder model the decoder's layers count.
        count: how many layers, at least 1.

    Raises:
        InputError: the model has fewer layers, or no list of layers.
    """
    layers = _layers(model)
    if count > len(layers):
        raise InputError(
            "the model has fewer layers",
            where="tune.train_last",
            found=str(count),
            expected=f"at most {len(layers)}",
            fix=f"write {len(layers)} for all layers, or leave it out to train the embeddings too",
        )
    last_layers = layers[len(layers) - count :]
    before, after = _execution_order(model, last_layers[0])
    model.requires_grad_(requires_grad=False)
    for module in (*after, *last_layers):
        module.requires_grad_(requires_grad=True)
    for module in before:
        for weight in module.parameters(recurse=False):
            weight.requires_grad_(requires_grad=False)


def _layers(model: Any) -> list[Any]:
    """The decoder's layers: the outermost list of modules, and the longest of several. Layers contain lists too."""
    import torch

    decoder = model.get_decoder() if model.config.is_encoder_decoder else model
    lists = [(n, m) for n, m in decoder.named_modules() if isinstance(m, torch.nn.ModuleList) and len(m)]
    if not lists:
        raise InputError(
            "the model has no list of layers, so nothing says which are the last",
            where="tune.train_last",
            found=type(model).__name__,
            fix="name what stays frozen in tune.freeze",
        )
    _, layers = max(lists, key=lambda named: (-named[0].count("."), len(named[1])))
    return list(layers)


def _execution_order(model: Any, first: Any) -> tuple[list[Any], list[Any]]:
    """The modules with weights that run before `first`, and those that only run once it has started."""
    import torch

    order: list[Any] = []
    hooks = [
        module.register_forward_pre_hook(lambda module, _: order.append(module)) for module in model.modules()
    ]
    try:
        ids = torch.zeros((1, 1), dtype=torch.long, device=model.device)
        inputs = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
        with evaluation_mode(model):  # in training mode some models skip layers at random
            model(input_ids=ids, use_cache=False, **inputs)
    finally:
        for hook in hooks:
            hook.remove()
    start = order.index(first)
    before, after = (
        [module for module in part if next(module.parameters(recurse=False), None) is not None]
        for part in (order[:start], order[start:])
    )
    return before, [module for module in after if module not in before]
