"""Whether transformers makes of a GGUF file the model that the file holds: settings, and every tensor both ways.

The loader fills settings that the file does not state with defaults of its own, makes up tensors that are missing, and
passes over those that it has no place for. Each would be another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models.gguf_header import GgufHeader, TensorEntry

FIX = "name the same model as safetensors, by its hub id or a folder"
TIED_OUTPUT = ("falcon", "bloom")
"""Architectures whose output layer is always the embedding; a copy of it in the file is not read."""

ROTARY = "rope_freqs.weight"
"""What each rotary frequency is divided by: Llama 3.1 and later state their long context in this way alone."""
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""The constants of every Llama 3 release; the factor is the largest of the tensor's values."""


def check_settings(header: GgufHeader, path: Path) -> None:
    """Check that the file states what the loader would guess, and nothing that it would pass over.

    Raises:
        InputError: a setting is missing, or changes the model and is not read.
    """
    attention = any(".attn_" in name and "norm" not in name for name in header.tensors)
    epsilons = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
    needed = ["embedding_length", "context_length", *(["attention.head_count"] if attention else [])]
    missing = [key for key in needed if header.setting(key) is None]
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
    _check_scaling(header, path)


def _check_scaling(header: GgufHeader, path: Path) -> None:
    """Refuse stretched positions: transformers' loader reads them for gpt-oss alone."""
    factor = header.setting("rope.scaling.factor")
    kind = header.setting("rope.scaling.type")
    stretched = kind not in (None, "none") and factor not in (None, 0.0, 1.0)
    if header.setting("rope.scale_linear") not in (None, 1.0):
        kind, factor, stretched = "linear", header.setting("rope.scale_linear"), True
    if stretched and header.architecture != "gpt-oss":
        raise InputError(
            "the file stretches its positions, which the GGUF loader of transformers does not read",
            where=str(path),
            found=f"{header.architecture}.rope.scaling: {kind}, factor {factor}",
            fix=FIX,
        )


def rotary_factors(header: GgufHeader, config: Any, path: Path) -> dict[str, Any] | None:
    """The model's rotary settings where the file divides its frequencies; None where it does not.

    Source: Llama 3's scaling as transformers states it (`rope_type: llama3`), and the converter of llama.cpp, which writes
    the same as one divisor for each frequency.

    Args:
        header: of the file.
        config: as the loader made it, with the plain frequencies' base.
        path: the file.

    Raises:
        InputError: divisors that are not those of Llama 3, which no setting of transformers states.
    """
    import numpy as np

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
        turns = LLAMA3["original_max_position_embeddings"] / (
            2 * np.pi * float(theta) ** (np.arange(divisors.size) / divisors.size)
        )
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
    """Check that each of the model's numbers came from the file, and each of the file's went into the model.

    Every tensor of the model was read (none is missing), and both sides hold the same count of numbers: so no tensor
    of the file was left out.

    Args:
        header: of the file.
        model: as transformers loaded it.
        report: its loading info.
        path: the file.

    Raises:
        InputError: tensors are missing, of another shape, not used, or hold what is no finite number.
    """
    import torch

    wrong = sorted(str(key) for name in ("missing_keys", "mismatched_keys") for key in report[name])
    if wrong:
        raise InputError(
            f"the GGUF file lacks {len(wrong)} of the tensors that its model needs, or has them in another shape",
            where=str(path),
            found=f"no {wrong[0]}",
            expected=f"all weights of {type(model).__name__}",
            fix="convert the model again; " + FIX,
        )
    _check_defaults(header, model.config, path)
    stored = {name: tensor for name, tensor in header.tensors.items() if not _spared(tensor, header)}
    distinct = {tensor.data_ptr(): tensor for tensor in model.state_dict().values()}
    if sum(tensor.elements for tensor in stored.values()) != sum(t.numel() for t in distinct.values()):
        unused = _unused(stored, model)
        raise InputError(
            "the GGUF file holds tensors that the model has no place for: without them it is another model",
            where=str(path),
            found=", ".join(unused[:5]) or f"{len(stored)} tensors",
            expected=f"the weights of {type(model).__name__} alone",
            fix=FIX,
        )
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                "the GGUF file's weights hold what is no finite number",
                where=str(path),
                found=f"NaN or infinity in {name}",
                fix="fetch the file again, or convert the model again",
            )


def _check_defaults(header: GgufHeader, config: Any, path: Path) -> None:
    """What a file may leave out has one meaning in llama.cpp; the loader's default must be the same."""
    text = config.get_text_config()
    heads = getattr(text, "num_attention_heads", None)
    groups = getattr(text, "num_key_value_heads", None)
    theta = (getattr(text, "rope_parameters", None) or {}).get("rope_theta")
    wrong = None
    if header.setting("attention.head_count_kv") is None and groups not in (None, heads):
        wrong = f"no {header.architecture}.attention.head_count_kv, for which {groups} would be taken, not {heads}"
    if header.setting("rope.freq_base") is None and theta not in (None, 10_000, 10_000.0):
        wrong = f"no {header.architecture}.rope.freq_base, for which {theta} would be taken, not 10000"
    if wrong is not None:
        raise InputError(
            "the GGUF file leaves out a setting that transformers' loader guesses wrong",
            where=str(path),
            found=wrong,
            fix="convert the model again; " + FIX,
        )


def _spared(tensor: TensorEntry, header: GgufHeader) -> bool:
    """Whether a tensor is no weight of the model, or a copy of one.

    `output.weight` is a copy where the output is always the embedding; the blocks behind the last layer predict several
    tokens ahead (`nextn_predict_layers`), which takes no part in the next token's probability.
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


def _unused(stored: Mapping[str, TensorEntry], model: Any) -> list[str]:
    """The file's tensors that transformers gives no place, for the error; empty where its table of names is elsewhere."""
    try:
        from transformers.modeling_gguf_pytorch_utils import (
            TENSOR_PROCESSORS,
            TensorProcessor,
            get_gguf_hf_weights_map,
        )

        make = TENSOR_PROCESSORS.get(model.config.model_type, TensorProcessor)
        places = get_gguf_hf_weights_map(model, make(config=model.config.to_dict()))
    except Exception:  # noqa: BLE001  # internals that differ between releases, for a name in a message alone
        return []
    return sorted(name for name in stored if name not in places)
