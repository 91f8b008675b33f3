"""A method and its options as peft's configuration, checked against the model that it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.models.methods import Method

ALL_LINEAR = "all-linear"


def peft_config(method: Method, model: Any, options: Mapping[str, Any]) -> Any:
    """The configuration of an adapter or a prompt.

    Args:
        method: one whose kind is not `full`.
        model: the transformers model that it is for.
        options: as `Method.options` gives them.

    Raises:
        InputError: layers that the model does not have, or a block size that does not divide them.
    """
    from peft import TaskType

    makers: dict[str, Callable[[Any, Mapping[str, Any]], tuple[str, dict[str, Any]]]] = {
        "ia3": _ia3,
        "oft": _oft,
        "prompt-tuning": _prompt,
        "prefix-tuning": _prefix,
    }
    kind, told = makers.get(method.name, _lora)(model, options)
    if method.name in ("rslora", "dora"):
        told[f"use_{method.name}"] = True
    task = TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM
    import peft

    return getattr(peft, kind)(task_type=task, **told)


def linear_layers(model: Any) -> dict[str, Any]:
    """All linear layers by name; GPT-2 writes them as transposed `Conv1D`."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear | Conv1D)}


def target_names(model: Any) -> list[str]:
    """The last parts of the names of all linear layers: what `targets` may name."""
    return sorted({name.rpartition(".")[2] for name in linear_layers(model)})


def _lora(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    told = {"r": options["rank"], "lora_alpha": options["alpha"], "lora_dropout": options["dropout"]}
    return "LoraConfig", {**told, "target_modules": _targets(model, options["targets"])}


def _ia3(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The layers that peft names for the architecture, or named ones; of these the feed-forward's last is scaled at its input."""
    from peft.utils import TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as INNER
    from peft.utils import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as KNOWN

    kind = model.config.model_type
    if "targets" not in options:
        if kind not in KNOWN:
            raise InputError(
                "nothing says which layers of this architecture (IA)3 scales",
                where="tune.targets",
                found=f"model_type {kind}",
                expected="some of: " + ", ".join(target_names(model)),
                fix="name the layers of keys and values and the feed-forward's last one",
            )
        return "IA3Config", {"target_modules": list(KNOWN[kind]), "feedforward_modules": list(INNER[kind])}
    wanted = _targets(model, options["targets"])
    if wanted == ALL_LINEAR:
        wanted = [name for name in linear_layers(model) if not _is_output(model, name)]
    inner = {name.rpartition(".")[2] for names in INNER.values() for name in names}
    last = [
        name for name in wanted if name.rpartition(".")[2] in inner and name.rpartition(".")[2] != "dense"
    ]
    return "IA3Config", {"target_modules": list(wanted), "feedforward_modules": last}


def _is_output(model: Any, name: str) -> bool:
    return model.get_submodule(name) is model.get_output_embeddings()


def _oft(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Exact rotations. peft would take another block size where this one does not fit, and say so in a warning."""
    targets, block = _targets(model, options["targets"]), options["block_size"]
    for name, layer in linear_layers(model).items():
        if _is_output(model, name) if targets == ALL_LINEAR else not _named(name, targets):
            continue
        width = getattr(layer, "in_features", None)
        if width is None:
            raise InputError(
                "oft turns no transposed linear layers, as GPT-2 has them",
                where="tune.method",
                found=f"{name} is a {type(layer).__name__}",
                fix="take lora, dora or ia3",
            )
        if width % block:
            raise InputError(
                "the blocks do not divide a layer's inputs",
                where="tune.block_size",
                found=f"{block}, and {name} has {width} inputs",
                expected="a divisor, such as "
                + ", ".join(str(n) for n in (4, 8, 16, 32, 64) if width % n == 0),
                fix="take another tune.block_size, or name other layers in tune.targets",
            )
    return "OFTConfig", {
        "oft_block_size": block,
        "module_dropout": options["dropout"],
        "target_modules": targets,
        "use_cayley_neumann": False,
    }


def _prompt(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Begins as embeddings of tokens drawn from the vocabulary; encoder-decoder models read them in the encoder."""
    del model
    return "PromptTuningConfig", {
        "num_virtual_tokens": options["virtual_tokens"],
        "num_transformer_submodules": 1,
        "prompt_tuning_init": "SAMPLE_VOCAB",
    }


def _prefix(model: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Sizes of one layer's keys and values; in an encoder-decoder model the decoder's."""
    pairs = model.config.is_encoder_decoder
    config = model.config if pairs else model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    layers = config.num_hidden_layers
    if pairs:
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
    """The names, each of which must match: peft ignores those that match nothing as long as one does."""
    if targets == ALL_LINEAR:
        return ALL_LINEAR
    wanted = [targets] if isinstance(targets, str) else list(targets)
    known = target_names(model)
    for target in wanted:
        if not any(_named(name, [target]) for name in linear_layers(model)):
            raise InputError(
                "the model has no linear layer of this name",
                where="tune.targets",
                found=target,
                expected=f"{ALL_LINEAR}, or some of: {', '.join(known)}",
                fix=did_you_mean(target, known) or "name layers of this model",
            )
    return wanted


def _named(name: str, targets: Sequence[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)
