"""Checks a model's folder before anything in it is loaded: the files are there, complete, and none runs code."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from tutelage.core import regular
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_JSON_DEPTH, MAX_SETTINGS_BYTES, MAX_VOCABULARY_BYTES
from tutelage.models import settings_limits
from tutelage.models.unsafe_settings import CHECKED_FILES, check_settings

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
RARE_FILES = (
    "bpe.codes",
    "byte_maps.json",
    "dict.txt",
    "emoji.json",
    "entity_vocab.json",
    "normalizer.json",
    "prophetnet.tokenizer",
    "sentencepiece.model",
    "source.spm",
    "spm.model",
    "spm_char.model",
    "target.spm",
    "target_vocab.json",
    "tiktoken.model",
    "vocab-src.json",
    "vocab-tgt.json",
    "word_pronunciation.json",
    "word_shape.json",
)
"""Vocabularies of the rarer tokenizers that transformers knows (`tests/models/test_folders.py` compares the names).

These and TOKENIZER_FILES decide a text's ids: they are in the fingerprint, and a tokenizer's loader sees no other file.
"""
VOCABULARIES = tuple(
    name
    for name in (*TOKENIZER_FILES, *RARE_FILES)
    if not name.endswith(("config.json", "map.json", "tokens.json", "normalizer.json", "emoji.json"))
)
SETTINGS_FILES = (
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "chat_template.jinja",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "model.safetensors.index.json",
    "adapter_model.safetensors.index.json",
)
"""Settings and short lists, whose size limit is lower than that of vocabularies."""
ADAPTER_SETS = ("target_modules", "feedforward_modules", "exclude_modules")
"""Settings of adapter_config.json that are sets, written in any order."""
_REPLACE = "remove it, and fetch or save the model again"
_SAVE_AGAIN = "fetch or save the model again"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def is_model(folder: Path) -> bool:
    """Whether the folder has the config of a model or an adapter."""
    return (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()


def settings_files(folder: Path) -> list[Path]:
    """List the files that can change a model's answers, beside config, weights and the common tokenizer files.

    The chat template is not among them: fingerprints hold the text of the one in use.
    """
    indexes = ("model.safetensors.index.json", "adapter_model.safetensors.index.json")
    paths = [folder / name for name in ("generation_config.json", *indexes, *RARE_FILES)]
    return sorted(filter(Path.is_file, paths))


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a vocabulary."""
    return any((folder / name).is_file() for name in VOCABULARIES)


def tokenizer_files(folder: Path) -> dict[str, Path]:
    """The files that a tokenizer is loaded from, by name; config.json says which class it has."""
    return {
        name: folder / name for name in (*TOKENIZER_FILES, *RARE_FILES, "chat_template.jinja", "config.json")
    }


def model_files(folder: Path) -> dict[str, Path]:
    """The settings files of a whole model, by name; transformers gets its weights as tensors."""
    return {name: folder / name for name in ("config.json", "generation_config.json")}


def check_files(folder: Path) -> None:
    """Check every file of a model's folder that may be read, before any is opened.

    Raises:
        InputError: one is no regular file, or larger than its kind can be.
    """
    for name in {*SETTINGS_FILES, *TOKENIZER_FILES, *RARE_FILES}:
        path = folder / name
        if os.path.lexists(path):
            limit = MAX_SETTINGS_BYTES if name in SETTINGS_FILES else MAX_VOCABULARY_BYTES
            regular.require_regular(path, subject="the model's file", fix=_REPLACE, limit=limit)
    for path in folder.glob("*.safetensors"):
        regular.require_regular(path, subject="the model's file", fix=_REPLACE)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an InputError names the file that is none."""
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            "the file is not JSON",
            where=str(path),
            found=str(error)[:200],
            fix=_SAVE_AGAIN,
        ) from error
    if _is_deeper(value, MAX_JSON_DEPTH):
        raise InputError(
            "the file nests too deeply",
            where=str(path),
            found=f"more than {MAX_JSON_DEPTH} lists and objects inside one another",
            fix=_SAVE_AGAIN,
        )
    if not isinstance(value, dict):
        raise InputError(
            "the file holds no JSON object", where=str(path), found=type(value).__name__, expected="an object"
        )
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested more than `depth` deep."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return items is not None and (depth == 0 or any(_is_deeper(item, depth - 1) for item in items))


def check(folder: Path) -> tuple[str, ...]:
    """Check a model's or an adapter's folder.

    Returns:
        Notes for the user, such as code in the folder that is not run.

    Raises:
        InputError: config, tokenizer or weights are missing or damaged; the weights are pickled; the architecture
            needs code from the model's own folder; a setting would load code or read beyond the folder.
    """
    check_files(folder)
    for name in CHECKED_FILES:
        if (folder / name).is_file():
            check_settings(folder / name, read_json(folder / name))
    if (folder / "config.json").is_file() and (folder / "adapter_config.json").is_file():
        raise InputError(
            "the folder holds a model and an adapter at once, and does not say which of them it is",
            where=str(folder),
            found="config.json and adapter_config.json",
            expected="one of them",
            fix="move the adapter's files into a folder of their own and name that; it says itself which base it has",
        )
    if (folder / "config.json").is_file():
        config = read_json(folder / "config.json")
        settings_limits.check_config(folder / "config.json", config)
        notes = _no_foreign_code(folder, config)
        _check_weights(folder, "model")
        if not has_tokenizer(folder):
            raise InputError(
                "the model's folder has no tokenizer",
                where=str(folder),
                found=_listing(folder),
                expected="tokenizer.json and tokenizer_config.json, or another vocabulary",
                fix="save the tokenizer that the model was trained with into the folder",
            )
        return notes
    if (folder / "adapter_config.json").is_file():
        _check_weights(folder, "adapter_model")
        settings = folder / "adapter_config.json"
        with open_tensors(folder, "adapter_model") as tensors:
            widest = max((size for tensor in tensors.values() for size in tensor.get_shape()), default=0)
        settings_limits.check_adapter(settings, read_json(settings), widest)
        return ()
    raise InputError(
        "the folder holds no model",
        where=str(folder),
        found=_listing(folder),
        expected="config.json with weights and tokenizer, adapter_config.json, or a run's folder",
        fix="name the folder that has config.json in it",
    )


def adapter_base(folder: Path) -> str:
    """The name of the model below an adapter, with its revision when the adapter states one."""
    config = read_json(folder / "adapter_config.json")
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base:
        raise InputError(
            "the adapter does not say which model it belongs to",
            where=str(folder / "adapter_config.json"),
            found=f"base_model_name_or_path: {base!r}",
            expected="a hub id, a bundled name or a folder",
        )
    if isinstance(revision, str) and revision and not Path(base).is_dir():
        return f"{base}@{revision}"
    return base


def _no_foreign_code(folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    """Refuse a model that only runs with code from its folder; note code that transformers does not need."""
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise InputError(
            "config.json does not say what model it is",
            where=str(folder / "config.json"),
            found=f"model_type: {kind!r}",
            expected="the name of an architecture, such as llama",
        )
    if not config.get("auto_map"):
        # An architecture that transformers does not know is refused by the loader: asking here would import torch.
        return ()
    from transformers import CONFIG_MAPPING

    if kind not in CONFIG_MAPPING:
        raise InputError(
            "the model's architecture is only known to code in its own folder, which is never run",
            where=str(folder / "config.json"),
            found=f"model_type: {kind}",
            expected="an architecture that the installed transformers knows",
            fix="use a model without code of its own, or a transformers that knows it",
        )
    return ("the model's folder names code of its own (auto_map): it is ignored and never run",)


def weight_files(folder: Path, stem: Literal["model", "adapter_model"] = "model") -> list[Path]:
    """List the safetensors files that hold a model's or an adapter's weights: STEM.safetensors, or the index's files.

    Raises:
        InputError: no such file; an index that names none, or files that are not there, or other files than the
            STEM.safetensors beside it; an adapter in pieces, which peft does not read.
    """
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if not index.is_file():
        if not whole.is_file():
            raise _no_weights(folder, whole.name)
        return [whole]
    names = sorted(set(_weight_map(index).values()))
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} files of weights are missing",
            where=str(folder),
            found=f"no {missing[0]}",
            fix="fetch the model again",
        )
    if names != [whole.name] and (whole.is_file() or stem == "adapter_model"):
        raise InputError(
            "the index names other files than the one that holds the weights"
            if whole.is_file()
            else "an adapter in pieces is not read",
            where=str(index),
            found=", ".join(names[:5]),
            expected=whole.name,
            fix=f"remove the index, or save the weights again as {whole.name}",
        )
    if wrong_names := [name for name in names if not name.endswith(".safetensors")]:
        raise InputError(
            "the index names what is no file of safetensors",
            where=str(index),
            found=wrong_names[0][:200],
            expected="names that end in .safetensors",
            fix=_SAVE_AGAIN,
        )
    return [folder / name for name in names]


@contextmanager
def open_tensors(
    folder: Path, stem: Literal["model", "adapter_model"] = "model", *, framework: Literal["np", "pt"] = "np"
) -> Iterator[dict[str, Any]]:
    """Open a model's or an adapter's weights as slices of safetensors by name.

    Names, shapes and dtypes are known at once; numbers are read when a slice is indexed.

    Args:
        folder: of the model or adapter.
        stem: which of the two.
        framework: the arrays that slices give: of NumPy, or of torch.
    """
    from safetensors import safe_open

    with ExitStack() as stack:
        slices: dict[str, Any] = {}
        for path in weight_files(folder, stem):
            handle = stack.enter_context(safe_open(path, framework=framework))
            slices.update({name: handle.get_slice(name) for name in handle.keys()})  # noqa: SIM118  # no mapping
        yield slices


def _weight_map(index: Path) -> dict[str, str]:
    """The index of sharded weights: each tensor's name and the file that holds it."""
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise InputError("the index of the weights names no files", where=str(index))
    return {name: str(file) for name, file in mapping.items()}


def _check_weights(folder: Path, stem: Literal["model", "adapter_model"]) -> None:
    """Check that the weights are whole safetensors, and that an index names each tensor where it is and no other."""
    tensors = {path.name: tensor_names(path) for path in weight_files(folder, stem)}
    index = folder / f"{stem}.safetensors.index.json"
    if not index.is_file():
        return
    mapping = _weight_map(index)
    for file, names in tensors.items():
        listed = {name for name, listed_file in mapping.items() if listed_file == file}
        for name in sorted(listed ^ names):
            raise InputError(
                "the index of the weights and a file do not agree",
                where=str(folder / file),
                found=f"no {name}"
                if name in listed
                else f"{name}, which the index puts into {mapping.get(name)}",
                expected=f"the tensors that {index.name} lists for this file",
                fix=_SAVE_AGAIN,
            )


def _no_weights(folder: Path, expected: str) -> InputError:
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        return InputError(
            "the weights are pickled, and pickles can run code: safetensors and GGUF only",
            where=str(folder / pickles[0]),
            found=", ".join(pickles[:5]),
            expected=expected,
            fix="name a model that has safetensors, or convert it where you trust its maker",
        )
    return InputError(
        "the folder has no weights",
        where=str(folder),
        found=_listing(folder),
        expected=expected,
        fix=_SAVE_AGAIN,
    )


def tensor_names(path: Path) -> set[str]:
    """The names in a safetensors file; its header must fit its length, which finds what was cut off. Reads no weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return set(file.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(
            "the file of weights is damaged",
            where=str(path),
            found=str(error)[:200],
            expected="whole safetensors",
            fix=_SAVE_AGAIN,
        ) from error


def _listing(folder: Path) -> str:
    return name_list([path.name for path in folder.iterdir()], limit=8) or "an empty folder"


def name_list(names: Collection[str], *, limit: int = 4) -> str:
    """List the first names in alphabetical order, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(sorted(names)[:limit]) + more
