"""Combines LoRA adapters of one base into one adapter: the weighted sum of their changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.models import adapter_file, base_record, folders, logit_agreement, methods
from tutelage.models.fingerprints import fingerprint, template_fingerprint
from tutelage.models.library_calls import quiet
from tutelage.models.load import LoadedModel, load
from tutelage.models.source import ModelSource

Combination = Literal["cat", "linear", "svd"]


def combine(
    sources: Sequence[ModelSource], weights: Sequence[float], *, combination: Combination = "cat"
) -> LoadedModel:
    """Combine LoRA adapters of one base into their weighted sum, through peft's `add_weighted_adapter`.

    Args:
        sources: two or more adapters; tokenizer and chat template are the first one's.
        weights: one for each; they may be negative, and need not add up to 1.
        combination: `cat` concatenates the factors: the sum exactly, with the sum of the ranks. `svd` is the nearest
            change of the highest rank among them. `linear` adds the factors, not their products: a smaller adapter,
            and another change.

    Returns:
        The base with the combined adapter, as `load` returns an adapter.

    Raises:
        InputError: a source that is no adapter, adapters of different bases or chat templates, a method or setting that
            has no sum, or a sum that answers otherwise than all adapters at once, each times its weight.
    """
    import torch
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    _check_sources(sources, weights)
    _check_methods(sources, combination)
    loaded = load(sources[0])
    model = loaded.model
    names = ["default", *(f"other-{number}" for number in range(1, len(sources)))]
    for name, source in zip(names[1:], sources[1:], strict=True):
        base_record.require_recorded_base(source)
        adapter_file.attach_adapter(model, source.folder, second=name)
    rows = logit_agreement.draw_probe_rows(model, encoder_decoder=loaded.encoder_decoder)
    with quiet(), torch.no_grad():
        try:
            model.base_model.add_weighted_adapter(names, list(weights), "sum", combination_type=combination)
        except (ValueError, TypeError, RuntimeError) as error:
            raise _no_sum(sources, f"{type(error).__name__}: {error}".splitlines()[0][:300]) from error
        for _, layer in _layers(model):
            # The factors contain the scale, and peft would scale those of rslora once more.
            layer.scaling["sum"] = 1.0
        if combination == "svd":
            _check_nearest(model, names, weights, sources)
        expected = _expected_logits(model, names, weights, rows, combination)
        state = get_peft_model_state_dict(model, adapter_name="sum", save_embedding_layers=False)
        # The sum is a plain LoRA adapter with alpha equal to the rank.
        config = dataclasses.replace(model.peft_config["sum"], use_rslora=False, lora_dropout=0.0)
        single = get_peft_model(model.unload(), config)
        set_peft_model_state_dict(single, state)
    single.eval()
    logit_agreement.require_same_logits(
        expected,
        single,
        rows,
        epsilon=logit_agreement.weights_epsilon(sources[0].weights),
        subject="the sum of the adapters",
        where=sources[0].name,
        fix="add up adapters that change the same kinds of layers by the same settings",
    )
    identity = [[fingerprint(source), weight] for source, weight in zip(sources, weights, strict=True)]
    return dataclasses.replace(
        loaded, model=single, fingerprint=hashing.of_json([identity, combination, loaded.fingerprint])
    )


def _expected_logits(
    model: Any,
    names: Sequence[str],
    weights: Sequence[float],
    rows: logit_agreement.ProbeRows,
    combination: Combination,
) -> Any:
    """The logits that the sum must give: those of all adapters at once, each times its weight; its own if it is not exact."""
    if combination != "cat":
        model.base_model.set_adapter("sum")
        return rows.logits(model)
    for _, layer in _layers(model):
        for name, weight in zip(names, weights, strict=True):
            if name in layer.scaling:
                layer.scaling[name] *= weight
    model.base_model.set_adapter(list(names))
    return rows.logits(model)


def _check_nearest(
    model: Any, names: Sequence[str], weights: Sequence[float], sources: Sequence[ModelSource]
) -> None:
    """Check that each layer's change is the nearest of its rank to the sum (Eckart and Young 1936)."""
    import torch

    for layer_name, layer in _layers(model):
        exact = sum(
            layer.get_delta_weight(name).double() * weight
            for name, weight in zip(names, weights, strict=True)
            if name in layer.scaling
        )
        smallest_error = torch.linalg.svdvals(exact)[layer.r["sum"] :].norm()
        error = (exact - layer.get_delta_weight("sum").double()).norm()
        # fp32 has 24 bits; a product of matrices of this size loses only a few of them.
        if not error <= smallest_error * (1 + 1e-4) + 1e-5 * exact.norm():
            raise _no_sum(sources, f"{layer_name}: off by {error:.2g}, the nearest by {smallest_error:.2g}")


def _layers(model: Any) -> list[tuple[str, Any]]:
    """The layers that the sum changes, with their names."""
    from peft.tuners.lora import LoraLayer

    return [(n, m) for n, m in model.named_modules() if isinstance(m, LoraLayer) and "sum" in m.scaling]


def _no_sum(sources: Sequence[ModelSource], reason: str) -> InputError:
    return InputError(
        "these adapters cannot be added up",
        where=", ".join(source.name for source in sources),
        found=reason,
        fix="add up LoRA adapters that change the same kinds of layers by the same settings",
    )


def _check_sources(sources: Sequence[ModelSource], weights: Sequence[float]) -> None:
    if len(sources) < 2 or len(weights) != len(sources):
        raise InputError(
            "each adapter needs one weight",
            where="--weights",
            found=f"{len(sources)} adapters, {len(weights)} weights",
            expected="two or more adapters, and as many weights",
            fix="write --weights 0.5,0.5 for two",
        )
    if not all(map(isfinite, weights)):
        raise InputError(
            "a weight is no finite number",
            where="--weights",
            found=", ".join(map(str, weights)),
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
        if template_fingerprint(source) != template_fingerprint(sources[0]):
            raise InputError(
                "the adapters were tuned with different chat templates",
                where=source.name,
                expected=f"the chat template of {sources[0].name}",
                fix="tune both with one chat_template",
            )


_MORE_THAN_FACTORS = (
    "modules_to_save",
    "trainable_token_indices",
    "layer_replication",
    "lora_bias",
    "target_parameters",
    "alora_invocation_tokens",
)
"""Settings with which an adapter changes more than a product of two matrices; `bias` is another."""


def _check_methods(sources: Sequence[ModelSource], combination: Combination) -> None:
    settings = [folders.read_json(source.folder / "adapter_config.json") for source in sources]
    for source, config in zip(sources, settings, strict=True):
        methods.of_adapter(config).refuse("combine", where=source.name, fix="combine LoRA adapters only")
        unsummable = [key for key in _MORE_THAN_FACTORS if config.get(key)]
        if config.get("bias", "none") != "none":
            unsummable.append("bias")
        if unsummable:
            raise InputError(
                "the adapter changes more than a product of two matrices, and that has no sum",
                where=source.name,
                found=", ".join(f"{key}: {config[key]}"[:80] for key in unsummable),
                fix="merge it into its base, and interpolate the merged models",
            )
    ranks = [config.get("r") for config in settings]
    if combination == "linear" and len(set(ranks)) > 1:
        raise InputError(
            "linear adds factors, which must have one rank",
            where="--combination",
            found=", ".join(map(str, ranks)),
            fix="take cat or svd",
        )
