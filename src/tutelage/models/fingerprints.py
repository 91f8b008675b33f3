"""Fingerprints of models: one sha256 over all files that decide what a model answers."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

from tutelage.core import hashing
from tutelage.models import cache, folders
from tutelage.models.source import ModelSource

GENERATION = "generation_config.json"
VOLATILE = (
    "transformers_version",
    "_name_or_path",
    "_model_name_or_path",
    "base_model_name_or_path",
    "revision",
    "peft_version",
    "_from_model_config",
)
"""Settings of config.json, generation_config.json and adapter_config.json that do not change the model."""


def fingerprint(source: ModelSource, *, settings: bool = True) -> str:
    """Hash everything that decides a model's answers: config, tokenizer, weights, settings, and an adapter's base.

    Left out: the chat template (`LoadedModel.fingerprint` adds the one in use), notes, and version numbers in config.json
    and generation_config.json. Hashes of weights are cached while size, times and inode stay the same.

    Args:
        source: from `resolve`.
        settings: False leaves out generation settings, indexes of shards and rarer tokenizer files, as older versions did:
            it recognises runs and evaluations that those started.
    """
    parts: dict[str, Any] = {}
    for path in sorted(source.folder.iterdir()):
        if path.suffix == ".safetensors":
            parts[path.name] = cache.file_sha256(path)
        elif path.name in ("config.json", "adapter_config.json"):
            parts[path.name] = _stable(folders.read_json(path))
    for path in sorted(source.tokenizer.iterdir()):
        if path.name in folders.TOKENIZER_FILES:
            parts[path.name] = hashing.of_file(path)
    if settings:
        for folder in dict.fromkeys((source.tokenizer, source.folder)):
            for path in folders.settings_files(folder):
                is_generation = path.name == GENERATION
                parts[path.name] = (
                    _stable(folders.read_json(path)) if is_generation else hashing.of_file(path)
                )
    if source.base:
        parts["base"] = fingerprint(source.base, settings=settings)
    return hashing.of_json(parts)


def template_fingerprint(source: ModelSource) -> str:
    """Hash the files that decide the model's own chat template: the template and the tokenizer's settings."""
    files = [source.tokenizer / name for name in ("chat_template.jinja", "tokenizer_config.json")]
    files += sorted((source.tokenizer / "additional_chat_templates").glob("*.jinja"))
    return hashing.of_json([hashing.of_file(path) for path in files if path.is_file()])


def weights_sha256(folder: Path) -> str:
    """Hash the names and contents of a folder's weights; hashes of files are cached while the files stay as they are."""
    return hashing.of_json({path.name: cache.file_sha256(path) for path in folders.weight_files(folder)})


def _stable(config: dict[str, Any]) -> dict[str, Any]:
    """A settings file's content without what changes from one release or machine to the next."""
    # peft writes a set in any order.
    return {
        str(_strict(key)): sorted(map(_strict, value), key=str)
        if key in folders.ADAPTER_SETS and isinstance(value, list)
        else _strict(value)
        for key, value in config.items()
        if key not in VOLATILE
    }


def _strict(value: Any) -> Any:
    """The value in strict JSON: infinities, which Mamba's settings hold, and lone surrogates as text."""
    if isinstance(value, dict):
        return {str(_strict(key)): _strict(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
