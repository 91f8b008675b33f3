"""Several adapters of one base as one: their changes added up by weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.models import adapter_file, folders, methods
from tutelage.models.load import LoadedModel, load
from tutelage.models.quiet import quiet
from tutelage.models.source import ModelSource, fingerprint, own_template

Combination = Literal["cat", "linear", "svd"]


def combine(
    sources: Sequence[ModelSource], weights: Sequence[float], *, combination: Combination = "cat"
) -> LoadedModel:
    """Add up LoRA adapters of one base, each times its weight, through peft's `add_weighted_adapter`.

    Args:
        sources: two or more adapters; tokenizer and chat template are the first one's.
        weights: one for each; they may be negative, and need not add up to 1.
        combination: `cat` puts the factors side by side: the sum exactly, with the sum of the ranks. `svd` is the
            nearest change of the highest rank among them. `linear` adds the factors, not their products: smaller,
            and another change.

    Returns:
        The base with the one adapter, as `load` gives an adapter.

    Raises:
        InputError: what is no adapter, adapters of different bases or chat templates, a method that has no sum.
    """
    import torch
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    _check(sources, weights)
    _check_methods(sources, combination)
    loaded = load(sources[0])
    model = loaded.model
    names = ["default", *(f"other-{number}" for number in range(1, len(sources)))]
    with quiet(), torch.no_grad():
        for name, source in zip(names[1:], sources[1:], strict=True):
            adapter_file.put_beside(model, source.folder, name)
        model.base_model.add_weighted_adapter(names, list(weights), "sum", combination_type=combination)
        state = get_peft_model_state_dict(model, adapter_name="sum")
        # The matrices hold the scale already: the sum stands there as plain LoRA with alpha equal to the rank.
        config = dataclasses.replace(model.peft_config["sum"], use_rslora=False, lora_dropout=0.0)
        single = get_peft_model(model.unload(), config)
        set_peft_model_state_dict(single, state)
    single.eval()
    identity = [[fingerprint(source), weight] for source, weight in zip(sources, weights, strict=True)]
    return dataclasses.replace(
        loaded, model=single, fingerprint=hashing.of_json([identity, combination, loaded.fingerprint])
    )


def _check(sources: Sequence[ModelSource], weights: Sequence[float]) -> None:
    if len(sources) < 2 or len(weights) != len(sources):
        raise InputError(
            "each adapter needs one weight",
            where="--weights",
            found=f"{len(sources)} adapters, {len(weights)} weights",
            expected="two or more adapters, and as many weights",
            fix="write --weights 0.5,0.5 for two",
        )
    for source in sources:
        if source.base is None:
            raise InputError(
                "only adapters can be added up",
                where=source.name,
                found="a whole model",
                fix="name the run's adapter (RUN/model/adapter, where the run's model is merged), or interpolate",
            )
    bases = [fingerprint(source.base) for source in sources if source.base is not None]
    for source, base in zip(sources, bases, strict=True):
        if base != bases[0]:
            raise InputError(
                "the adapters belong to different models",
                where=source.name,
                found=source.base.name if source.base else None,
                expected=sources[0].base.name if sources[0].base else None,
                fix="combine adapters that were tuned from one base",
            )
        if own_template(source) != own_template(sources[0]):
            raise InputError(
                "the adapters were tuned with different chat templates",
                where=source.name,
                expected=f"the chat template of {sources[0].name}",
                fix="tune both with one chat_template",
            )


def _check_methods(sources: Sequence[ModelSource], combination: Combination) -> None:
    told = [folders.read_json(source.folder / "adapter_config.json") for source in sources]
    for source, config in zip(sources, told, strict=True):
        methods.of_adapter(config).refuse("combine", where=source.name, fix="combine LoRA adapters only")
    ranks = [config.get("r") for config in told]
    if combination == "linear" and len(set(ranks)) > 1:
        raise InputError(
            "linear adds factors, which must have one rank",
            where="--combination",
            found=", ".join(map(str, ranks)),
            fix="take cat or svd",
        )
