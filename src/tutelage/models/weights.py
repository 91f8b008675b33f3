"""Loads the full weights of a model, and checks them against its config.

Names, shapes, types and values are checked: transformers would initialise missing tensors at random and drop unknown ones,
and either gives another model than the one that was named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models import folders
from tutelage.models.folders import name_list
from tutelage.models.library_calls import SAVE_AGAIN, file_view, library_errors, quiet
from tutelage.models.parameter_budget import limit_parameters, max_numbers

FLOATS = ("F64", "F32", "F16", "BF16")
"""Types of safetensors that hold plain numbers; fp8 and integers need a scale, which is not applied here."""

UNUSED = re.compile(
    r"(rotary_emb\.inv_freq|attn\.(masked_)?bias|attention\.(masked_)?bias|position_ids)$|(^|\.)mtp\."
)
"""Tensors that do not influence answers: tables that older releases saved and newer ones compute, and layers that
predict several tokens ahead (`mtp`)."""


def load_model(folder: Path, config: Any, dtype: str, *, four_bit: bool = False) -> Any:
    """Load the full weights of a folder into the transformers model that a config describes.

    transformers is given the tensors, not the folder, from which it would also load pickled weights or an adapter beside
    config.json.

    Args:
        folder: with config.json and safetensors.
        config: a transformers config, the folder's own or one of the same architecture.
        dtype: of the weights in memory: float32, bfloat16 or float16.
        four_bit: hold the linear layers' weights in NF4, on the first CUDA device.

    Returns:
        The model, in evaluation mode; `name_or_path` is the folder.

    Raises:
        InputError: tensors are missing, unexpected, of another shape, of a type that is no plain number, or not finite.
        MachineError: not enough memory.
    """
    import torch

    with folders.open_tensors(folder, framework="pt") as state:
        stored = sum(map(max_numbers, state.values()))
        with (
            file_view(folders.model_files(folder)) as view,
            library_errors("the model could not be read", folder, fix=reading_fix(folder), view=view),
            limit_parameters(folder / "config.json", tensors=len(state), stored=stored),
            quiet(),
        ):
            model_class, config = _model_class(config)
            dtypes = {name: tensor.get_dtype() for name, tensor in state.items()}
            model, report = model_class.from_pretrained(
                None,
                config=config,
                state_dict=state,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                trust_remote_code=False,
                # A shape that does not fit is reported by `_check_report`, with its name.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **(_four_bit_options() if four_bit else {}),
            )
            # Without a file the model has those of config.json already.
            model.generation_config = read_generation(view) or model.generation_config
    model.config.name_or_path = model.name_or_path = str(folder)
    _check_report(report, type(model).__name__, folder)
    _check_dtypes(model, dtypes, folder)
    check_finite(dict(model.named_parameters()), folder)
    return model


def check_finite(state: dict[str, Any], place: Path) -> None:
    """Refuse NaN and infinities, which make every score of the model a NaN or the same token.

    Raises:
        InputError: the first tensors that hold one.
    """
    import torch

    not_finite = [
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if not_finite:
        raise InputError(
            f"{len(not_finite)} tensors of the weights hold NaN or an infinity",
            where=str(place),
            found=name_list(not_finite),
            expected="finite numbers",
            fix="fetch or save the model again; if it was trained so, its training diverged",
        )


def reading_fix(folder: Path) -> str:
    """The advice for a model that cannot be read; for a quantised one, to use the weights that it was made from."""
    quantised = folders.read_json(folder / "config.json").get("quantization_config")
    if not quantised:
        return SAVE_AGAIN
    method = quantised.get("quant_method") if isinstance(quantised, dict) else None
    return (
        f"the model is quantised ({str(method)[:40]}): name the model that it was made from, or install what "
        "this quantisation needs, which the message names"
    )


def _model_class(config: Any) -> tuple[Any, Any]:
    """The class that transformers' auto classes choose for a config, and the config that the class takes."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    from transformers.models.auto.auto_factory import _get_model_class

    classes = (
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING if config.is_encoder_decoder else MODEL_FOR_CAUSAL_LM_MAPPING
    )
    if type(config) not in classes:
        raise ValueError(f"{type(config).__name__} is of no model that writes text")
    model_class = _get_model_class(config, classes)
    # The text part of a model that also reads images.
    text_config = config.sub_configs.get("text_config")
    is_text_part = text_config is not None and model_class.config_class == text_config
    return model_class, config.get_text_config() if is_text_part else config


def _check_report(report: dict[str, Any], model_class: str, folder: Path) -> None:
    """Refuse weights that lack tensors, hold others, or have other shapes, by transformers' loading report."""
    fix = "fetch or save the model again; config.json and weights must belong together"
    if missing := report["missing_keys"]:
        raise InputError(
            f"the weights lack {len(missing)} of the tensors that config.json asks for",
            where=str(folder),
            found=f"no {name_list(missing)}",
            expected=f"all weights of {model_class}",
            fix=fix,
        )
    if mismatched := sorted(report["mismatched_keys"]):
        name, shape, expected = mismatched[0]
        raise InputError(
            f"{len(mismatched)} tensors of the weights have another shape than config.json makes them",
            where=str(folder),
            found=f"{name}: {list(shape)}",
            expected=f"{list(expected)}",
            fix=fix,
        )
    if unexpected := [name for name in report["unexpected_keys"] if not UNUSED.search(name)]:
        raise InputError(
            f"the weights hold {len(unexpected)} tensors that {model_class} does not have",
            where=str(folder),
            found=name_list(unexpected),
            expected="the tensors that config.json asks for, and no others",
            fix=fix,
        )


def _check_dtypes(model: Any, dtypes: dict[str, str], folder: Path) -> None:
    """Refuse weights in integers or fp8, which would be a model without its scales."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    scaled = {
        name: dtype
        for name, dtype in dtypes.items()
        if dtype not in FLOATS and (name in parameters or "F8" in dtype)
    }
    if scaled and not getattr(model, "is_quantized", False):
        name = min(scaled)
        raise InputError(
            f"{len(scaled)} tensors of the weights are no plain floating-point numbers",
            where=str(folder),
            found=f"{name}: {scaled[name]}",
            expected=", ".join(FLOATS),
            fix="take the model in bfloat16, float16 or float32",
        )


def read_generation(folder: Path) -> Any:
    """Read the generation settings of a folder; None where it has none."""
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").is_file():
        return None
    return GenerationConfig.from_pretrained(folder, local_files_only=True)


def _four_bit_options() -> dict[str, Any]:
    """Weights in NF4 with quantised constants, multiplied in bfloat16 (Dettmers et al. 2023)."""
    import torch
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": quantization, "device_map": {"": 0}}
