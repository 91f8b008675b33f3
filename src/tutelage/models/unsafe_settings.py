"""Refuses settings of a model that would load code or read outside its folder, before transformers sees them.

`auto_map` is not among them: it names code in the folder, which transformers ignores unless it is told to trust it, and it
never is (`trust_remote_code=False`); where only that code knows the architecture, `folders` refuses the model.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models.methods import table
from tutelage.models.settings_limits import walk

CHECKED_FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "adapter_config.json")
_VOCABULARY_PATHS = (
    "vocab_file",
    "merges_file",
    "spm_file",
    "source_spm",
    "target_spm",
    "fast_tokenizer_files",
)
"""Settings that name a file which the tokenizer opens instead of the folder's own."""
_TRANSFORMERS_MODULE = re.compile(r"transformers(\.[A-Za-z]\w*)*", re.ASCII)
_LOADS_CODE = {
    "auto_mapping": "peft imports the module that it names",
    "megatron_config": "peft imports the module that megatron_core names",
    "tokenizer_kwargs": "peft loads a tokenizer with them",
}


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Refuse dangerous settings of a model or an adapter.

    Args:
        path: the file, one of `CHECKED_FILES`.
        settings: its content.

    Raises:
        InputError: the file, the setting, and what it would do.
    """
    for key, value in walk(settings):
        reason = _reason(path.name, key, value)
        if reason is not None:
            raise InputError(
                "a setting of the model's folder is not followed, and without it the model is another",
                where=str(path),
                found=f"{key}: {str(value)[:100]}",
                expected=f"none: {reason}",
                fix="use a model without it, or remove it where you trust its maker",
            )


def _reason(file: str, key: str, value: Any) -> str | None:
    """Why a setting is refused; None where nothing is wrong with it."""
    if key.endswith(("attn_implementation", "experts_implementation")):
        names = [str(name) for name in (value.values() if isinstance(value, dict) else [value])]
        if any("/" in name for name in names):
            return "a kernel of this name is fetched from the hub and run"
        if any("flex" in name for name in names):
            return "attention of this kind is compiled for minutes before a model answers"
    if key == "transformers_weights" and value:
        return "weights are read from model.safetensors and its pieces only"
    paths = [path for path in (value if isinstance(value, list) else [value]) if isinstance(path, str)]
    if (
        file == "tokenizer_config.json"
        and key in _VOCABULARY_PATHS
        and any(Path(path.replace("\\", "/")).name != path for path in paths)
    ):
        return "a vocabulary is read from the model's own folder only"
    return _adapter_reason(key, value) if file == "adapter_config.json" and value else None


def _adapter_reason(key: str, value: Any) -> str | None:
    """Why a setting of an adapter is refused; None where nothing is wrong with it."""
    if key == "auto_mapping" and _names_transformers(value):
        # peft writes it for an adapter without a task, Unsloth for each; nothing here reads it.
        return None
    if key == "peft_type" and str(value) not in _peft_types():
        return "adapters of the kinds " + ", ".join(sorted(_peft_types())) + " are known"
    return _LOADS_CODE.get(key)


def _names_transformers(mapping: Any) -> bool:
    """Whether an adapter's `auto_mapping` names a module of transformers."""
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    return isinstance(library, str) and _TRANSFORMERS_MODULE.fullmatch(library) is not None


def _peft_types() -> set[str]:
    """The names that peft has for the methods' kinds of adapters."""
    lora = {"lora", "rslora", "dora", "qlora"}
    names = [method.name for method in table().values() if method.kind != "full"]
    return {"LORA" if name in lora else name.upper().replace("-", "_") for name in names}
