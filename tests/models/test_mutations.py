"""Damaged files of models, tokenizers and adapters: each loads and answers, or is an InputError that names file or field."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from mutations import damage_bytes, damage_json, time_limit
from tutelage.core.errors import InputError, TutelageError
from tutelage.models import add_adapter, export, fingerprint, load, load_tokenizer, resolve

SECONDS = 20.0
"""By the clock, for one load that takes a twentieth of a second on a quiet machine."""


@pytest.fixture(scope="module")
def adapter_folder(tiny_model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    base = resolve(str(tiny_model_folder))
    export(add_adapter(load(base), "lora", {"rank": 2}, seed=0), folder, merge=False, base=base)
    return folder


GENERATION = {
    "eos_token_id": [2], "bos_token_id": 1, "pad_token_id": 0, "temperature": 0.7, "top_p": 0.9, "do_sample": True,
    "max_length": 100, "suppress_tokens": [5], "transformers_version": "5.0.0",
}  # fmt: skip
SPECIAL = {
    "eos_token": {"content": "<|im_end|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False},
    "pad_token": "<|endoftext|>", "additional_special_tokens": ["<|im_start|>"],
}  # fmt: skip
ADDED = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
FILES: dict[str, tuple[str, dict | None]] = {
    "config": ("config.json", None),
    "generation": ("generation_config.json", GENERATION),
    "tokenizer": ("tokenizer.json", None),
    "tokenizer settings": ("tokenizer_config.json", None),
    "special tokens": ("special_tokens_map.json", SPECIAL),
    "added tokens": ("added_tokens.json", ADDED),
    "t5 config": ("config.json", None),
    "adapter": ("adapter_config.json", None),
    "weights": ("model.safetensors", None),
    "adapter weights": ("adapter_model.safetensors", None),
    "gguf": ("m.gguf", None),
}
HEADERS = {"model.safetensors": 2500, "adapter_model.safetensors": 2500, "m.gguf": 9000}
"""Bytes at the start of files of weights that are damaged: what describes the weights."""


def damage(path: Path, default: dict | None, random: Random) -> str:
    """Damage a settings file: mostly one of its values, now and then its bytes."""
    if default is not None:
        path.write_text(json.dumps(default))
    if path.name in HEADERS:
        content = path.read_bytes()
        start, subject = damage_bytes(content[: HEADERS[path.name]], random)
        path.write_bytes(start if "cut off" in subject else start + content[HEADERS[path.name] :])
        return subject
    if random.random() < 0.1:
        content, subject = damage_bytes(path.read_bytes(), random)
        path.write_bytes(content)
        return subject
    value, subject = damage_json(json.loads(path.read_text("utf-8")), random)
    path.write_text(json.dumps(value))
    return subject


def use(model: Path) -> None:
    """Everything that a command does with a model before its first row: names, settings, weights, a few tokens."""
    from tutelage.core.types import Request
    from tutelage.engine import Engine

    source = resolve(str(model))
    fingerprint(source)
    load_tokenizer(source)
    loaded = load(source)
    questions = [
        Request("0", "generate", "Hello", max_new_tokens=3),
        Request("1", "choose", "Hello", choices=("yes", "no"), form="text"),
    ]
    kind, context = loaded.encoder_decoder, loaded.context
    Engine(loaded.model, loaded.tokenizer, encoder_decoder=kind, context=context).answer(questions)


def outcome(folders: Callable[[str], Path], seed: int, scratch: Path) -> str | None:
    """Damage one file by a seed, load, and say what went wrong; None for a load that works or a clear error."""
    random = Random(seed)
    kind = list(FILES)[seed % len(FILES)]
    name, default = FILES[kind]
    folder = scratch / f"m{seed}"
    shutil.copytree(folders(kind), folder)
    model = folder / name if name.endswith(".gguf") else folder
    try:
        subject = damage(folder / name, default, random)
        with time_limit(SECONDS):
            use(model)
    except InputError as error:
        if (
            str(folder) not in error.block()
            and name not in error.block()
            and "chat template" not in error.block()
        ):
            return f"{seed}: {kind} {subject}: names no file: {error.block()}"
    except TutelageError as error:
        return f"{seed}: {kind} {subject}: {error.block()}"
    except BaseException as error:  # a panic of Rust and a hang are no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{seed}: {kind} {subject}: {type(error).__name__}: {str(error)[:300]}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


@pytest.fixture
def folders(tiny_model_folder, tiny_t5_folder, adapter_folder, tiny_gguf):
    special = {"adapter": adapter_folder, "adapter weights": adapter_folder, "t5 config": tiny_t5_folder}
    special["gguf"] = tiny_gguf.parent
    return lambda kind: special.get(kind, tiny_model_folder)


def test_damaged_files_are_input_errors(folders, tmp_path):
    wrong = [told for seed in range(110) if (told := outcome(folders, seed, tmp_path))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.long
def test_damaged_files_are_input_errors_many_times(folders, tmp_path):
    wrong = [told for seed in range(110, 2110) if (told := outcome(folders, seed, tmp_path))]
    assert not wrong, "\n".join(wrong)
