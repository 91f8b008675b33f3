"""The full weights of a model: read from the files that its folder names, and checked both ways against its config.

Names, shapes, types and values are checked: what is missing would be made up at random, what is left over would be
dropped, and both give another model than the one that was named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models import folders
from tutelage.models.library_calls import SAVE_AGAIN, only, reading
from tutelage.models.parameter_budget import bounded, numbers
from tutelage.models.quiet import quiet

SHOWN = 4
"""How many names an error lists."""
FLOATS = ("F64", "F32", "F16", "BF16")
"""Types of safetensors that are numbers as they stand; fp8 and integers need a scale that nothing here applies."""

UNUSED = re.compile(
    r"(rotary_emb\.inv_freq|attn\.(masked_)?bias|attention\.(masked_)?bias|position_ids)$|(^|\.)mtp\."
)
"""Tensors that take no part in an answer: tables that older releases saved and newer ones compute, and layers that
predict several tokens ahead (`mtp`)."""


def read(folder: Path, config: Any, dtype: str, *, four_bit: bool = False) -> Any:
    """Load the full weights of a folder into the transformers model that a config describes.

    transformers is given the tensors, not the folder: it would also load an adapter that stands beside config.json,
    or pickled weights.

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

    with tensors(folder) as state:
        stored = sum(map(numbers, state.values()))
        with (
            only(folders.model_files(folder)) as view,
            reading("the model could not be read", folder, fix=fix(folder), view=view),
            bounded(folder / "config.json", tensors=len(state), stored=stored),
            quiet(),
        ):
            kind, config = _kind(config)
            types = {name: tensor.get_dtype() for name, tensor in state.items()}
            model, report = kind.from_pretrained(
                None,
                config=config,
                state_dict=state,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                trust_remote_code=False,
                # A shape that does not fit is reported below, with its name.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **(_four_bits() if four_bit else {}),
            )
            _set_generation(model, view)
    model.config.name_or_path = model.name_or_path = str(folder)
    _check_report(report, type(model).__name__, folder)
    _check_types(model, types, folder)
    check_finite(dict(model.named_parameters()), folder)
    return model


@contextmanager
def tensors(folder: Path) -> Iterator[dict[str, Any]]:
    """Open the full weights: name to a slice of safetensors, whose numbers are read when they are asked for."""
    from safetensors import safe_open

    with ExitStack() as stack:
        slices: dict[str, Any] = {}
        for path in folders.weight_files(folder):
            handle = stack.enter_context(safe_open(path, framework="pt"))
            slices.update({name: handle.get_slice(name) for name in handle.keys()})  # noqa: SIM118  # no mapping
        yield slices


def check_finite(state: dict[str, Any], place: Path) -> None:
    """Refuse NaN and infinities, which make every score of the model a NaN or the same token.

    Raises:
        InputError: the first tensors that hold one.
    """
    import torch

    bad = [name for name, t in state.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if bad:
        raise InputError(
            f"{len(bad)} tensors of the weights hold NaN or an infinity",
            where=str(place),
            found=some(bad),
            expected="finite numbers",
            fix="fetch or save the model again; if it was trained so, its training diverged",
        )


def some(names: Collection[str]) -> str:
    """A few of some names, and how many more there are."""
    ordered = sorted(names)
    more = len(ordered) - SHOWN
    return ", ".join(ordered[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def fix(folder: Path) -> str:
    """What helps against a model that cannot be read: of a quantised one, the weights that it was made from."""
    quantised = folders.read_json(folder / "config.json").get("quantization_config")
    if not quantised:
        return SAVE_AGAIN
    method = quantised.get("quant_method") if isinstance(quantised, dict) else None
    return (
        f"the model is quantised ({str(method)[:40]}): name the model that it was made from, or install what "
        "this quantisation needs, which the message names"
    )


def _kind(config: Any) -> tuple[Any, Any]:
    """The class that transformers' auto classes take for a config, and the config that the class reads."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    from transformers.models.auto.auto_factory import _get_model_class

    pairs = config.is_encoder_decoder
    table = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING if pairs else MODEL_FOR_CAUSAL_LM_MAPPING
    if type(config) not in table:
        raise ValueError(f"{type(config).__name__} is of no model that writes text")
    kind = _get_model_class(config, table)
    # The text part of a model that also reads images.
    part = config.sub_configs.get("text_config")
    return kind, config.get_text_config() if part is not None and kind.config_class == part else config


def _check_report(report: dict[str, Any], kind: str, folder: Path) -> None:
    """Refuse weights that lack tensors, hold others, or have other shapes, by transformers' loading report."""
    if missing := report["missing_keys"]:
        raise InputError(
            f"the weights lack {len(missing)} of the tensors that config.json asks for",
            where=str(folder),
            found=f"no {some(missing)}",
            expected=f"all weights of {kind}",
            fix="fetch or save the model again; config.json and weights must belong together",
        )
    if wrong := sorted(report["mismatched_keys"]):
        name, shape, expected = wrong[0]
        raise InputError(
            f"{len(wrong)} tensors of the weights have another shape than config.json makes them",
            where=str(folder),
            found=f"{name}: {list(shape)}",
            expected=f"{list(expected)}",
            fix="fetch or save the model again; config.json and weights must belong together",
        )
    if extra := [name for name in report["unexpected_keys"] if not UNUSED.search(name)]:
        raise InputError(
            f"the weights hold {len(extra)} tensors that {kind} does not have",
            where=str(folder),
            found=some(extra),
            expected="the tensors that config.json asks for, and no others",
            fix="fetch or save the model again; config.json and weights must belong together",
        )


def _check_types(model: Any, types: dict[str, str], folder: Path) -> None:
    """Refuse weights in integers or fp8: read as numbers, they would be a model without its scales."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    wrong = {n: kind for n, kind in types.items() if kind not in FLOATS and (n in parameters or "F8" in kind)}
    if wrong and not getattr(model, "is_quantized", False):
        name = min(wrong)
        raise InputError(
            f"{len(wrong)} tensors of the weights are no plain floating-point numbers",
            where=str(folder),
            found=f"{name}: {wrong[name]}",
            expected=", ".join(FLOATS),
            fix="take the model in bfloat16, float16 or float32",
        )


def _set_generation(model: Any, folder: Path) -> None:
    """Give the model the generation settings of its folder; without a file it has those of config.json already."""
    from transformers import GenerationConfig

    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)


def _four_bits() -> dict[str, Any]:
    """Weights in NF4 with quantised constants, multiplied in bfloat16 (Dettmers et al. 2023)."""
    import torch
    from transformers import BitsAndBytesConfig

    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": how, "device_map": {"": 0}}
