"""Adds adapters and soft prompts to models through peft, switches them off, and merges them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tutelage.core import seeds
from tutelage.core.errors import InputError
from tutelage.models import methods, peft_configs, tied_weights
from tutelage.models.evaluation_mode import evaluation_mode
from tutelage.models.library_calls import quiet
from tutelage.models.load import LoadedModel


def add_adapter(loaded: LoadedModel, name: str, options: Mapping[str, Any], *, seed: int) -> LoadedModel:
    """Add a method's new weights to a model; only they can be trained afterwards.

    Adapters start as no change. Prompts start as embeddings of tokens drawn from the vocabulary, a prefix as the model's
    keys and values for such tokens. The model inside `loaded` is changed (layers are wrapped); use only the returned one.

    Args:
        loaded: a model without an adapter.
        name: of a method in `methods.yaml`, not `full`.
        options: some of the method's fields (`Method.fields`); defaults for the others.
        seed: of everything that is drawn; torch's global generator is not changed.

    Raises:
        InputError: an option that the method does not read, layers that the model does not have, a model that has an
            adapter already.
    """
    import torch
    from peft import get_peft_model

    require_whole(loaded)
    method = methods.find(name)
    unread = [option for option in options if option not in method.fields]
    if unread or method.kind == "full":
        raise InputError(
            f"{name} adds no weights to a model" if not unread else f"{name} does not read {unread[0]}",
            where=f"tune.{unread[0] if unread else 'method'}",
            expected=", ".join(method.fields),
        )
    settings = method.options(options)
    config = _checked_config(loaded, method, settings)
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seeds.derive(seed, name))
        prefix = (
            _initial_prefix(loaded.model, settings["virtual_tokens"])
            if method.name == "prefix-tuning"
            else None
        )
        model = get_peft_model(loaded.model, config)
    if prefix is not None:
        model.prompt_encoder[model.active_adapter].load_prompt_embeddings(prefix)
    return dataclasses.replace(loaded, model=model, adapter=True)


def require_layers(loaded: LoadedModel, name: str, options: Mapping[str, Any]) -> None:
    """Refuse what `add_adapter` would refuse of a method's options, without changing the model; nothing for full tuning.

    Raises:
        InputError: the model does not have the layers, or they do not fit the options.
    """
    method = methods.find(name)
    if method.kind != "full":
        _checked_config(loaded, method, method.options(options))


def _checked_config(loaded: LoadedModel, method: methods.Method, settings: Mapping[str, Any]) -> Any:
    """The adapter's configuration for peft, checked against the model."""
    if method.name == "qlora":
        _check_four_bit(loaded)
    return peft_configs.peft_config(method, loaded.model, settings)


def require_whole(loaded: LoadedModel) -> None:
    """Refuse to tune a model that has an adapter, which peft would silently replace.

    Raises:
        InputError: it has one.
    """
    if loaded.adapter:
        raise adapter_refusal(loaded.name)


def adapter_refusal(name: str) -> InputError:
    """The error that a model with an adapter, of this name, is to be tuned."""
    return InputError(
        "a model with an adapter cannot be tuned further",
        where="model",
        found=f"{name}, an adapter beside its base",
        expected="a whole model",
        fix=f"add the adapter into the weights first: tutelage export {name} --to DIR --merge, and name DIR",
    )


@contextmanager
def adapter_off(loaded: LoadedModel) -> Iterator[None]:
    """Switch the adapter off while the block runs: the model then answers as its base."""
    if not loaded.adapter:
        raise InputError(
            "the model has no adapter that could be switched off",
            found=loaded.name,
            fix="load the base model by its own name",
        )
    if getattr(loaded.model.active_peft_config, "bias", "none") != "none":
        raise InputError(
            "the adapter changed its base's biases, so switching it off does not give the base",
            where=loaded.name,
            found=f"bias: {loaded.model.active_peft_config.bias}",
            fix="load the base model by its own name",
        )
    with loaded.model.disable_adapter():
        yield


def merge(loaded: LoadedModel) -> LoadedModel:
    """Return the model with the adapter merged into its weights; `loaded` stays as it is.

    Layers without an adapter share their memory with `loaded`: do not train it while both are in use. Sums are
    rounded once more than with the adapter apart, so logits agree to about 1e-5 in fp32, not bit for bit; `export`
    checks it. Where an adapter changes one of several tied weights, they are untied.

    Raises:
        InputError: a prompt, which no weight could take up, weights of 4 bits, or an adapter that peft cannot merge.
    """
    import torch

    if not loaded.adapter:
        return loaded
    wrapped = loaded.model
    four_bit = bool(getattr(wrapped.get_base_model(), "is_loaded_in_4bit", False))
    methods.of_adapter(wrapped.active_peft_config.to_dict(), four_bit=four_bit).refuse(
        "merge", where=loaded.name, fix="export it without --merge: base and adapter stay apart"
    )
    # New parameters on the same memory: merging then replaces the memory of the copy's parameters only.
    shared: dict[int, Any] = {
        id(p): torch.nn.Parameter(p.data, requires_grad=p.requires_grad) for p in wrapped.parameters()
    }
    base = wrapped.get_base_model()
    # `tied` has each name with that of the weight to which it is tied.
    tied, scaled = dict(base.all_tied_weights_keys), tied_weights.scales_output(base.config)
    with quiet(), torch.no_grad():
        plain = _merged(wrapped, shared, loaded.name)
        replicated = getattr(wrapped.active_peft_config, "layer_replication", None)
        diverged = any(plain.get_parameter(n) is not plain.get_parameter(to) for n, to in tied.items())
        if replicated or diverged:
            # Replicated layers share what the adapter does not change, and a file holds each layer.
            tied_weights.untie(plain, scaled=scaled)
    plain.requires_grad_(requires_grad=True)
    plain.generation_config = copy.deepcopy(wrapped.generation_config)
    plain.eval()
    return dataclasses.replace(loaded, model=plain, adapter=False)


def _merged(wrapped: Any, shared: dict[int, Any], name: str) -> Any:
    """A merged copy of a peft model, over the memory of `shared` where nothing changes."""
    try:
        duplicate = copy.deepcopy(wrapped, shared)
        tied_weights.untie_targets(duplicate)
        return duplicate.merge_and_unload(safe_merge=True)
    except (ValueError, NotImplementedError, RuntimeError, TypeError) as error:
        raise InputError(
            "peft cannot merge this adapter into the weights",
            where=name,
            found=f"{type(error).__name__}: {error}".splitlines()[0][:300],
            fix="export it without --merge: base and adapter stay apart",
        ) from error


def _check_four_bit(loaded: LoadedModel) -> None:
    """Prepare a model of 4-bit weights for training; refuse one of other weights."""
    from peft import prepare_model_for_kbit_training

    if not getattr(loaded.model, "is_loaded_in_4bit", False):
        raise InputError(
            "the model's weights are not in 4 bits",
            where="tune.method",
            found=loaded.name,
            fix="load it with four_bit=True, or take lora",
        )
    prepare_model_for_kbit_training(loaded.model, use_gradient_checkpointing=False)


def _initial_prefix(model: Any, count: int) -> Any:
    """Keys and values of tokens drawn from the vocabulary, in peft's form of a prefix: (N, 2 * layers * width).

    Li and Liang (2021, section 7.4) found that activations of real words are a better start than random numbers.
    """
    import torch
    from transformers import DynamicCache, EncoderDecoderCache

    ids = torch.randint(0, model.get_input_embeddings().num_embeddings, (1, count), device=model.device)
    # Caches without a config keep every key, also where the model itself would only keep a window.
    cache: Any = DynamicCache()
    inputs: dict[str, Any] = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
        cache = EncoderDecoderCache(cache, DynamicCache())
    with evaluation_mode(model):
        model(**inputs, past_key_values=cache, use_cache=True)
    layers = (cache.self_attention_cache if model.config.is_encoder_decoder else cache).layers
    # (layers, 2, heads, N, width of a head), which peft wants as N first and the rest in one dimension.
    keys_values = torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in layers])
    return keys_values.permute(3, 0, 1, 2, 4).reshape(count, -1).float()
