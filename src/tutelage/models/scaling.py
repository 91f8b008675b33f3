"""Scales what a tuning changed: 0 gives the base, 1 the tuned model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.core import outputs
from tutelage.core.files import write_text
from tutelage.models import folders, methods
from tutelage.models.export import output_folder
from tutelage.models.interpolate import interpolate_with_base
from tutelage.models.source import ModelSource

CONFIG = "adapter_config.json"


def write_scaled(source: ModelSource, scale: float, folder: Path) -> None:
    """Write a tuned model with its change of the base scaled; the folder is complete or absent.

    A LoRA adapter stays one, with its alpha scaled. Anything else becomes a whole model on the line between base and tuned model.

    Args:
        source: the tuned model.
        scale: 0 to 1.
        folder: where to.

    Raises:
        InputError: as `interpolate_with_base`; the tuning cannot be merged into weights, so that nothing can be scaled.
    """
    if source.base is not None:
        config = folders.read_json(source.folder / CONFIG)
        if _is_scaled_by_alpha(config):
            _write_scaled_adapter(source.folder, config, scale, folder)
            return
        methods.of_adapter(config).refuse("merge", where=str(source.folder), fix="tune with another method")
    interpolate_with_base(source, scale, folder)


def _is_scaled_by_alpha(config: Mapping[str, Any]) -> bool:
    """Whether alpha scales all that an adapter changes: not magnitudes, whole layers, biases or embeddings."""
    whole = ("use_dora", "modules_to_save", "trainable_token_indices", "lora_bias")
    is_lora = config.get("peft_type") == "LORA" and config.get("bias", "none") == "none"
    return is_lora and not any(config.get(name) for name in whole)


def _write_scaled_adapter(adapter: Path, config: Mapping[str, Any], scale: float, folder: Path) -> None:
    scaled = dict(config)
    scaled["lora_alpha"] = config["lora_alpha"] * scale
    scaled["alpha_pattern"] = {
        name: alpha * scale for name, alpha in (config.get("alpha_pattern") or {}).items()
    }
    with output_folder(folder, inputs=[adapter]).new() as part:
        for path in sorted(adapter.iterdir()):
            if path.is_file() and path.name not in (CONFIG, outputs.MARKER):
                shutil.copyfile(path, part / path.name)
        write_text(part / CONFIG, json.dumps(scaled, indent=2, sort_keys=True) + "\n")
