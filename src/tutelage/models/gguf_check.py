"""Checks that transformers loads from a GGUF file the model that it holds: its settings, and every tensor both ways.

The loader fills missing settings with its own defaults, initialises missing tensors at random, and ignores those that
it does not know. Each of these would give another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.models.gguf_header import GgufHeader, TensorEntry
from tutelage.models.weights import check_finite

FIX = "name the same model as safetensors, by its hub id or a folder"
TIED_OUTPUT = ("falcon", "bloom")
"""Architectures whose output layer is always the embedding; a copy of it in the file is not read."""

ROTARY = "rope_freqs.weight"
"""The divisors of the rotary frequencies, by which alone Llama 3.1 and later state their long context."""
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""The constants of every Llama 3 release; the factor is the largest of the tensor's values."""


def check_settings(header: GgufHeader, path: Path) -> None:
    """Check that the file states what the loader would guess.

    Raises:
        InputError: a setting is missing, or does not fit the tensors.
    """
    attention = any(".attn_" in name and "norm" not in name for name in header.tensors)
    epsilons = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
    required = ["embedding_length", "context_length", *(["attention.head_count"] if attention else [])]
    missing = [key for key in required if header.setting(key) is None]
    if all(header.setting(key) is None for key in epsilons):
        missing.append(epsilons[0])
    if missing:
        raise InputError(
            "the GGUF file does not state how its model is built, and a guess may be another model",
            where=str(path),
            found=f"no {header.architecture}.{missing[0]}",
            fix="convert the model again; " + FIX,
        )
    embedding = header.tensors.get("token_embd.weight")
    width = header.setting("embedding_length")
    if embedding is not None and embedding.shape[0] != width:
        raise InputError(
            "the GGUF file's settings and tensors do not fit each other",
            where=str(path),
            found=f"{header.architecture}.embedding_length {width}, token_embd.weight of width {embedding.shape[0]}",
            fix="convert the model again; " + FIX,
        )


def rotary_factors(header: GgufHeader, config: Any, path: Path) -> dict[str, Any] | None:
    """The model's rotary settings where the file divides its frequencies; None where it does not.

    Source: Llama 3's scaling as transformers has it (`rope_type: llama3`), and the converter of llama.cpp, which writes
    the same as one divisor for each frequency.

    Args:
        header: of the file.
        config: as the loader made it, with the plain frequencies' base.
        path: the file.

    Raises:
        InputError: divisors that are not those of Llama 3, which no setting of transformers states.
    """
    tensor = header.tensors.get(ROTARY)
    if tensor is None:
        return None
    with path.open("rb") as file:
        file.seek(tensor.start)
        content = file.read(tensor.end - tensor.start)
    divisors = np.frombuffer(content, "<f4") if tensor.kind == 0 else np.zeros(0)
    if divisors.size and np.allclose(divisors, 1.0, rtol=0, atol=1e-6):
        return None
    text = config.get_text_config()
    theta = (getattr(text, "rope_parameters", None) or {}).get("rope_theta")
    if theta is not None and divisors.size:
        factor, low, high = float(divisors.max()), LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"]
        wavelengths = 2 * np.pi * float(theta) ** (np.arange(divisors.size) / divisors.size)
        turns = LLAMA3["original_max_position_embeddings"] / wavelengths
        smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
        # The divisors were rounded to fp32 once: 1e-4 leaves room for a base rounded there too.
        if np.allclose(divisors, 1 / ((1 - smooth) / factor + smooth), rtol=1e-4, atol=0):
            return {"rope_type": "llama3", "rope_theta": theta, "factor": round(factor, 3), **LLAMA3}
    raise InputError(
        "the file divides its rotary frequencies in a way that is not read",
        where=str(path),
        found=f"{ROTARY} of {tensor.elements:,} numbers",
        expected="those of Llama 3, or none",
        fix=FIX,
    )


def check_weights(header: GgufHeader, model: Any, report: Mapping[str, Any], path: Path) -> None:
    """Check that all numbers of the model came from the file, and all of the file's numbers went into the model.

    Every tensor of the model was read (none is missing), and both sides have the same count of numbers: so no tensor
    of the file was left out.

    Args:
        header: of the file.
        model: as transformers loaded it.
        report: its loading info.
        path: the file.

    Raises:
        InputError: tensors are missing, of another shape, not used, or hold what is no finite number; or a setting of the
            file is not the loaded model's.
    """
    missing = sorted(str(key) for name in ("missing_keys", "mismatched_keys") for key in report[name])
    if missing:
        raise InputError(
            f"the GGUF file lacks {len(missing)} of the tensors that its model needs, or has them in another shape",
            where=str(path),
            found=f"no {missing[0]}",
            expected=f"all weights of {type(model).__name__}",
            fix="convert the model again; " + FIX,
        )
    _check_followed(header, model.config, path)
    stored = {name: tensor for name, tensor in header.tensors.items() if not _is_unused(tensor, header)}
    distinct = {tensor.data_ptr(): tensor for tensor in model.state_dict().values()}
    if sum(tensor.elements for tensor in stored.values()) != sum(t.numel() for t in distinct.values()):
        unknown = _unknown_tensors(stored, model)
        raise InputError(
            "the GGUF file holds tensors that the model has no place for: without them it is another model",
            where=str(path),
            found=", ".join(unknown[:5]) or f"{len(stored)} tensors",
            expected=f"the weights of {type(model).__name__} alone",
            fix=FIX,
        )
    check_finite(model.state_dict(), path)


def _check_followed(header: GgufHeader, config: Any, path: Path) -> None:
    """Check that the config has each setting of the file, or of llama.cpp's defaults, that changes what the model computes."""
    table = yamltext.table("tutelage.models", "gguf_settings.yaml")
    fields = _config_fields(config)
    prefix = f"{header.architecture}."
    n_heads = header.setting("attention.head_count") or 0
    defaults = {f"{prefix}attention.head_count_kv": n_heads, f"{prefix}rope.freq_base": 10_000.0}
    for key, value in {**defaults, **header.metadata}.items():
        setting = key.removeprefix(prefix)
        if setting == key or setting in table["any_value"] or _has_no_effect(header, setting, value):
            continue
        row, stated = table["settings"].get(setting, {}), key in header.metadata
        values = next((fields[name] for name in row.get("config", ()) if name in fields), [])
        expected = [*row.get("neutral", [0]), *values]
        if not (values or stated) or any(_agrees(value, other) for other in expected):
            continue
        followed = " or ".join(map(str, expected)) + ", as the loaded model computes"
        if stated:
            raise InputError(
                "a setting of the GGUF file changes what its model computes, and transformers' loader does not follow it",
                where=str(path),
                found=f"{key}: {value}"[:200],
                expected=followed,
                fix=FIX,
            )
        raise InputError(
            "the GGUF file leaves out a setting that transformers' loader guesses wrong",
            where=str(path),
            found=f"no {key}, which means {value}",
            expected=followed,
            fix="convert the model again; " + FIX,
        )


def _config_fields(config: Any) -> dict[str, list[Any]]:
    """The values of a config's fields and of its rotary settings, which may differ by layer, and of some that follow from them."""
    text = config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    places = [text.to_dict(), rope, *(inner for inner in rope.values() if isinstance(inner, dict))]
    heads, layers = getattr(text, "num_attention_heads", None), getattr(text, "layer_types", None) or []
    if isinstance(heads, int) and heads:
        head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
        shares = [place.get("partial_rotary_factor") for place in places]
        share = next((share for share in shares if share is not None), 1.0)
        places.append({"head_dim": head_dim, "rotary_dims": head_dim * share})
    if "full_attention" in layers:
        places.append({"full_attention_interval": layers.index("full_attention") + 1})
    places.append({"sliding_layers": [layer == "sliding_attention" for layer in layers]})
    fields: dict[str, list[Any]] = {}
    for name, value in (item for place in places for item in place.items()):
        if value is not None:
            fields.setdefault(name, []).append(value)
    return fields


def _has_no_effect(header: GgufHeader, setting: str, value: Any) -> bool:
    """Whether the file's other settings make one idle: no scaling of positions, or a window as wide as the context."""
    if setting == "attention.sliding_window":
        context = header.setting("context_length")
        return isinstance(value, int) and isinstance(context, int) and value >= context
    return setting.startswith("rope.scaling.") and header.setting("rope.scaling.type") == "none"


def _agrees(value: Any, expected: Any) -> bool:
    """Whether a setting is what is expected, but for rounding to fp32. Zeros in a list stand for nothing."""
    if isinstance(value, list) and isinstance(expected, list):
        return value[: len(expected)] == expected and not any(value[len(expected) :])
    if isinstance(value, list):
        return all(not item or _agrees(item, expected) for item in value)
    numbers = isinstance(value, int | float) and isinstance(expected, int | float)
    return numbers and isclose(value, expected, rel_tol=1e-6)


def _is_unused(tensor: TensorEntry, header: GgufHeader) -> bool:
    """Whether a tensor is no weight of the model, or a copy of one.

    `output.weight` is a copy where the output layer is always the embedding; the blocks behind the last layer predict
    several tokens ahead (`nextn_predict_layers`) and do not influence the next token's probability.
    """
    if tensor.name == ROTARY:
        return True  # `rotary_factors` reads it
    if tensor.name == "output.weight" and header.architecture in TIED_OUTPUT:
        return True
    ahead = header.setting("nextn_predict_layers")
    if isinstance(ahead, int):
        last = header.setting("block_count")
        return any(tensor.name.startswith(f"blk.{n}.") for n in range(max(0, last - ahead), last))
    return False


def _unknown_tensors(stored: Mapping[str, TensorEntry], model: Any) -> list[str]:
    """The file's tensors that transformers does not know, for the error; empty in releases with other internals."""
    try:
        from transformers.modeling_gguf_pytorch_utils import (
            TENSOR_PROCESSORS,
            TensorProcessor,
            get_gguf_hf_weights_map,
        )

        processor = TENSOR_PROCESSORS.get(model.config.model_type, TensorProcessor)
        mapping = get_gguf_hf_weights_map(model, processor(config=model.config.to_dict()))
    except Exception:  # noqa: BLE001  # internals that differ between releases, for a name in a message alone
        return []
    return sorted(name for name in stored if name not in mapping)
