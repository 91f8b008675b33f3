"""Settings of a model's folder that would load code, or read beyond the folder: refused before transformers sees them.

`auto_map` is not among them: it names code in the folder, which transformers leaves alone as long as it is not told
to trust it, and it never is (`trust_remote_code=False`); where nothing else knows the architecture, `folders` refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models.methods import table

SETTINGS = ("config.json", "generation_config.json", "tokenizer_config.json", "adapter_config.json")
_PATHS = ("vocab_file", "merges_file", "spm_file", "source_spm", "target_spm", "fast_tokenizer_files")
"""What tokenizers open when their settings name it, instead of the folder's own file."""
_TRANSFORMERS = re.compile(r"transformers(\.[A-Za-z]\w*)*", re.ASCII)
_IMPORTS = {
    "auto_mapping": "peft imports the module that it names",
    "megatron_config": "peft imports the module that megatron_core names",
    "tokenizer_kwargs": "peft loads a tokenizer with them",
}


def check_settings(folder: Path) -> None:
    """Refuse dangerous settings in a model's or an adapter's folder.

    Raises:
        InputError: the file, the setting, and what it would do.
    """
    from tutelage.models.folders import read_json

    for name in SETTINGS:
        if (folder / name).is_file():
            for key, value in _all(read_json(folder / name)):
                reason = _reason(name, key, value)
                if reason is not None:
                    raise InputError(
                        "a setting of the model's folder is not followed, and without it the model is another",
                        where=str(folder / name),
                        found=f"{key}: {str(value)[:100]}",
                        expected=f"none: {reason}",
                        fix="use a model without it, or remove it where you trust its maker",
                    )


def _reason(name: str, key: str, value: Any) -> str | None:
    """Why a setting is refused; None where nothing is wrong with it."""
    if key.endswith(("attn_implementation", "experts_implementation")):
        named = value.values() if isinstance(value, dict) else [value]
        if any("/" in str(one) for one in named):
            return "a kernel of this name is fetched from the hub and run"
        if any("flex" in str(one) for one in named):
            return "attention of this kind is compiled for minutes before a model answers"
    if key == "transformers_weights" and value:
        return "weights are read from model.safetensors and its pieces only"
    if name == "tokenizer_config.json" and key in _PATHS and any(_leads_out(one) for one in _list(value)):
        return "a vocabulary is read from the model's own folder only"
    return _reason_of_adapter(key, value) if name == "adapter_config.json" and value else None


def _reason_of_adapter(key: str, value: Any) -> str | None:
    """Why a setting of an adapter is refused; None where nothing is wrong with it."""
    if key == "auto_mapping" and _of_transformers(value):
        # peft writes it for an adapter without a task, Unsloth for each; nothing here reads it.
        return None
    if key == "peft_type" and str(value) not in _kinds():
        return "adapters of the kinds " + ", ".join(sorted(_kinds())) + " are known"
    return _IMPORTS.get(key)


def _of_transformers(mapping: Any) -> bool:
    """Whether an adapter's `auto_mapping` names a module of transformers."""
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    return isinstance(library, str) and _TRANSFORMERS.fullmatch(library) is not None


def _all(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from _all(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _all(inner)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _leads_out(value: Any) -> bool:
    return isinstance(value, str) and Path(value.replace("\\", "/")).name != value


def _kinds() -> set[str]:
    """The adapters of the table, as peft names their kinds."""
    lora = {"lora", "rslora", "dora", "qlora"}
    return {
        "LORA" if n in lora else n.upper().replace("-", "_") for n, m in table().items() if m.kind != "full"
    }
