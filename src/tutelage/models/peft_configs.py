"""Turns a tuning method and its options into peft's configuration, checked against the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.models import layer_sets
from tutelage.models.methods import Method

ALL_LINEAR = "all-linear"


def peft_config(method: Method, model: Any, options: Mapping[str, Any]) -> Any:
    """Make peft's configuration of an adapter or a soft prompt.

    Args:
        method: one whose kind is not `full`.
        model: the transformers model to tune.
        options: from `Method.options`.

    Raises:
        InputError: layers that the model does not have, or a block size that does not divide them.
    """
    import peft

    builders: dict[str, Callable[[Any, Mapping[str, Any]], tuple[str, dict[str, Any]]]] = {
        "ia3": _ia3,
        "oft": _oft,
        "prompt-tuning": _prompt,
        "prefix-tuning": _prefix,
    }
    class_name, settings = builders.get(method.name, _lora)(model, options)
    if method.name in ("rslora", "dora"):
        settings[f"use_{method.name}"] = True
    task = peft.TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else peft.TaskType.CAUSAL_LM
    return getattr(peft, class_name)(task_type=task, **settings)


def linear_layers(model: Any) -> dict[str, Any]:
    """Find all linear layers of a model by name; GPT-2's are transposed (`Conv1D`)."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear | Conv1D)}


def target_names(model: Any) -> list[str]:
    """List the last parts of the names of all linear layers, which `targets` may name."""
    return sorted({name.rpartition(".")[2] for name in linear_layers(model)})


def _lora(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return "LoraConfig", {
        "r": options["rank"],
        "lora_alpha": options["alpha"],
        "lora_dropout": options["dropout"],
        "target_modules": _targets(model, options["targets"]),
    }


def _ia3(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(IA)3 on `targets`, or on peft's layers for the architecture; the feed-forward's last layer is scaled at its input."""
    from peft.utils import TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as FEEDFORWARD
    from peft.utils import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as TARGETS

    architecture = model.config.model_type
    if "targets" not in options:
        if architecture not in TARGETS:
            raise InputError(
                "nothing says which layers of this architecture (IA)3 scales",
                where="tune.targets",
                found=f"model_type {architecture}",
                expected="some of: " + ", ".join(target_names(model)),
                fix="name the layers of keys and values and the feed-forward's last one",
            )
        return "IA3Config", {
            "target_modules": list(TARGETS[architecture]),
            "feedforward_modules": list(FEEDFORWARD[architecture]),
        }
    targets = _targets(model, options["targets"])
    if targets == ALL_LINEAR:
        targets = [name for name in linear_layers(model) if not _is_output(model, name)]
    if options["targets"] in layer_sets.SETS:
        return "IA3Config", {
            "target_modules": targets,
            "feedforward_modules": _down_projections(model, targets) if options["targets"] == "mlp" else [],
        }
    # BLOOM's feed-forward layers end in `dense`, the name of other models' attention outputs.
    feedforward = {name.rpartition(".")[2] for names in FEEDFORWARD.values() for name in names} - {"dense"}
    return "IA3Config", {
        "target_modules": list(targets),
        "feedforward_modules": [name for name in targets if name.rpartition(".")[2] in feedforward],
    }


def _down_projections(model: Any, targets: Sequence[str]) -> list[str]:
    down = layer_sets.layers_of(model, linear_layers(model), "down")
    return [target for target in targets if any(_matches(name, [target]) for name in down)]


def _is_output(model: Any, name: str) -> bool:
    return model.get_submodule(name) is model.get_output_embeddings()


def _oft(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """OFT with exact rotations. Where the block size does not fit, peft would take another one and only warn."""
    targets, block_size = _targets(model, options["targets"]), options["block_size"]
    for name, layer in linear_layers(model).items():
        if _is_output(model, name) if targets == ALL_LINEAR else not _matches(name, targets):
            continue
        width = getattr(layer, "in_features", None)
        if width is None:
            raise InputError(
                "oft turns no transposed linear layers, as GPT-2 has them",
                where="tune.method",
                found=f"{name} is a {type(layer).__name__}",
                fix="take lora, dora or ia3",
            )
        if width % block_size:
            raise InputError(
                "the blocks do not divide a layer's inputs",
                where="tune.block_size",
                found=f"{block_size}, and {name} has {width} inputs",
                expected="a divisor, such as "
                + ", ".join(str(n) for n in (4, 8, 16, 32, 64) if width % n == 0),
                fix="take another tune.block_size, or name other layers in tune.targets",
            )
    return "OFTConfig", {
        "oft_block_size": block_size,
        "module_dropout": options["dropout"],
        "target_modules": targets,
        "use_cayley_neumann": False,
    }


def _prompt(_: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Prompt tuning from embeddings of tokens drawn from the vocabulary; encoder-decoder models read it in the encoder."""
    return "PromptTuningConfig", {
        "num_virtual_tokens": options["virtual_tokens"],
        "num_transformer_submodules": 1,
        "prompt_tuning_init": "SAMPLE_VOCAB",
    }


def _prefix(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Prefix tuning, with the sizes of one layer's keys and values; in an encoder-decoder model the decoder's."""
    encoder_decoder = model.config.is_encoder_decoder
    config = model.config if encoder_decoder else model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    layers = config.num_hidden_layers
    if encoder_decoder:
        heads = getattr(config, "decoder_attention_heads", heads)
        layers = getattr(config, "num_decoder_layers", None) or getattr(config, "decoder_layers", layers)
    queries = getattr(config, "decoder_attention_heads", config.num_attention_heads)
    width = (
        getattr(config, "head_dim", None) or getattr(config, "d_kv", None) or config.hidden_size // queries
    )
    return "PrefixTuningConfig", {
        "num_virtual_tokens": options["virtual_tokens"],
        "token_dim": heads * width,
        "num_attention_heads": heads,
        "num_layers": layers,
    }


def _targets(model: Any, targets: str | Sequence[str]) -> Any:
    """The layers in peft's words. Each name must match a layer: peft ignores those that match none as long as one does."""
    if targets == ALL_LINEAR:
        return ALL_LINEAR
    if isinstance(targets, str) and targets in layer_sets.SETS:
        return layer_sets.shortest_names(model, layer_sets.layers_of(model, linear_layers(model), targets))
    names = [targets] if isinstance(targets, str) else list(targets)
    existing = target_names(model)
    for target in names:
        if not any(_matches(name, [target]) for name in linear_layers(model)):
            raise InputError(
                "the model has no linear layer of this name",
                where="tune.targets",
                found=target,
                expected=f"{', '.join((ALL_LINEAR, *layer_sets.SETS))}, or some of: {', '.join(existing)}",
                fix=did_you_mean(target, existing) or "name layers of this model",
            )
    return names


def _matches(name: str, targets: Sequence[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)
