"""GGUF files that are damaged, hostile or incomplete: refused by name, within bounds, and never in the cache."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from mutations import time_limit
from tutelage.core.errors import InputError
from tutelage.models import cache as model_cache
from tutelage.models import fingerprint, gguf, gguf_check, gguf_header, load, resolve


def blocks(tensors, n):
    return [name for name in tensors if name.startswith(f"blk.{n}.")]


def drop(*names):
    def change(tensors):
        for name in names:
            del tensors[name]

    return change


def rename(tensors):
    tensors["blk.0.attn_k_proj.weight"] = tensors.pop("blk.0.attn_k.weight")


def third_layer(tensors):
    for name in blocks(tensors, 1):
        tensors[name.replace("blk.1.", "blk.2.")] = tensors[name]


def narrow(tensors):
    tensors["blk.1.ffn_up.weight"] = tensors["blk.1.ffn_up.weight"][:-4]


def extra(name, shape):
    def change(tensors):
        tensors[name] = np.ones(shape, np.float32)

    return change


def not_a_number(tensors):
    copied = tensors["blk.1.ffn_up.weight"].copy()
    copied[3, 3] = np.nan
    tensors["blk.1.ffn_up.weight"] = copied


WRONG_TENSORS = {
    "none at all": (lambda tensors: tensors.clear(), "no tensors"),
    "a layer too few": (lambda tensors: [tensors.pop(n) for n in blocks(tensors, 1)], "block_count is 2"),
    "a layer too many": (third_layer, "block_count is 2"),
    "one missing": (drop("blk.0.attn_k.weight"), "self_attn.k_proj"),
    "the embedding missing": (drop("token_embd.weight"), None),
    "one renamed": (rename, "k_proj"),
    "one of another shape": (narrow, None),
    "a bias that nothing reads": (extra("blk.0.attn_q.bias", 32), "blk.0.attn_q.bias"),
    "experts that nothing reads": (extra("blk.0.ffn_gate_exps.weight", (4, 64, 32)), "ffn_gate_exps"),
    "rotary divisors of no known kind": (extra("rope_freqs.weight", 4), None),
    "not a number": (not_a_number, "mlp.up_proj.weight"),
}


@pytest.mark.parametrize("name", WRONG_TENSORS)
def test_tensors_are_checked_both_ways_and_nothing_wrong_is_cached(
    tiny_model_folder, gguf_writer, cache, tmp_path, name
):
    change, found = WRONG_TENSORS[name]
    if name.startswith("rotary"):
        change = lambda tensors: tensors.update({"rope_freqs.weight": np.array([1, 1, 3, 7], np.float32)})  # noqa: E731
    gguf_writer(tiny_model_folder, tmp_path / "m.gguf", change=change)
    with pytest.raises(InputError) as caught:
        resolve(str(tmp_path / "m.gguf"))
    assert caught.value.where == str(tmp_path / "m.gguf")
    assert found is None or found in caught.value.found
    assert not list(cache.glob("models/gguf-*"))


def stated(method, key, value):
    return {"leave_out": [method], "state": lambda writer: writer.add_uint32(f"llama.{key}", value)}


def stretched(writer):
    writer.add_string("llama.rope.scaling.type", "linear")
    writer.add_float32("llama.rope.scaling.factor", 4.0)


WRONG_SETTINGS = {
    "no block_count": {"leave_out": ["add_block_count"]},
    "no head_count": {"leave_out": ["add_head_count"]},
    "no embedding_length": {"leave_out": ["add_embedding_length"]},
    "no epsilon": {"leave_out": ["add_layer_norm_rms_eps"]},
    "a million layers": stated("add_block_count", "block_count", 10**6),
    "one layer": stated("add_block_count", "block_count", 1),
    "no heads": stated("add_head_count", "attention.head_count", 0),
    "a wide middle": stated("add_feed_forward_length", "feed_forward_length", 2**31),
    "a wide head": stated("add_rope_dimension_count", "rope.dimension_count", 2**31),
    "a large vocabulary": stated("add_vocab_size", "vocab_size", 2**31),
    "stretched positions": {"state": stretched},
    "no room for a token": stated("add_context_length", "context_length", 0),
    "an epsilon that is no number": {
        "leave_out": ["add_layer_norm_rms_eps"],
        "state": lambda writer: writer.add_float32("llama.attention.layer_norm_rms_epsilon", float("nan")),
    },
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_settings_that_do_not_fit_the_tensors_are_refused(
    tiny_model_folder, gguf_writer, cache, tmp_path, name
):
    gguf_writer(tiny_model_folder, tmp_path / "m.gguf", **WRONG_SETTINGS[name])
    with time_limit(20), pytest.raises(InputError) as caught:
        resolve(str(tmp_path / "m.gguf"))
    assert caught.value.where == str(tmp_path / "m.gguf")
    assert not list(cache.glob("models/gguf-*"))


NOT_FOLLOWED = {
    "logit_scale": ("float32", 0.25),
    "final_logit_softcapping": ("float32", 30.0),
    "attn_logit_softcapping": ("float32", 50.0),
    "embedding_scale": ("float32", 12.0),
    "residual_scale": ("float32", 0.22),
    "attention.scale": ("float32", 0.0078125),
    "attention.clamp_kqv": ("float32", 8.0),
    "attention.max_alibi_bias": ("float32", 8.0),
    "attention.causal": ("bool", False),
    "attention.sliding_window": ("uint32", 100),
    "attention.key_length": ("uint32", 16),
    "rope.scaling.factor": ("float32", 4.0),  # llama.cpp scales linearly where no type is stated
    "rope.scaling.attn_factor": ("float32", 1.2),
    "use_parallel_residual": ("bool", True),
    "expert_weights_scale": ("float32", 2.5),
    "a_setting_of_tomorrow": ("float32", 0.5),
    "settings": ("string", "a name in Tutelage's own table"),
}


@pytest.mark.parametrize("key", NOT_FOLLOWED)
def test_a_setting_that_the_loader_does_not_follow_is_refused(
    tiny_model_folder, gguf_writer, cache, tmp_path, key
):
    kind, value = NOT_FOLLOWED[key]
    state = lambda writer: getattr(writer, f"add_{kind}")(f"llama.{key}", value)  # noqa: E731
    gguf_writer(tiny_model_folder, tmp_path / "m.gguf", state=state)
    with pytest.raises(InputError, match="does not follow") as caught:
        resolve(str(tmp_path / "m.gguf"))
    assert caught.value.where == str(tmp_path / "m.gguf")
    assert caught.value.found.startswith(f"llama.{key}: {value}"[:20])
    assert "safetensors" in caught.value.fix
    assert not list(cache.glob("models/gguf-*"))


def test_settings_that_change_nothing_pass(tiny_model_folder, gguf_writer, tmp_path):
    config = json.loads((tiny_model_folder / "config.json").read_text())

    def state(writer):
        for key in ("logit_scale", "rope.scaling.factor", "residual_scale"):
            writer.add_float32(f"llama.{key}", 1.0)
        for key in ("final_logit_softcapping", "attention.clamp_kqv", "a_setting_of_tomorrow"):
            writer.add_float32(f"llama.{key}", 0.0)
        writer.add_bool("llama.attention.causal", True)
        writer.add_uint32("llama.attention.sliding_window", config["max_position_embeddings"])
        for key in ("attention.key_length", "attention.value_length"):
            writer.add_uint32(f"llama.{key}", config["head_dim"])
        writer.add_string("llama.tensor_data_layout", "Meta AI original pth")

    gguf_writer(tiny_model_folder, tmp_path / "m.gguf", state=state)
    gguf_writer(tiny_model_folder, tmp_path / "plain.gguf")
    for name in ("m", "plain"):
        gguf.convert(tmp_path / f"{name}.gguf", tmp_path / name)
    assert (tmp_path / "m/model.safetensors").read_bytes() == (
        tmp_path / "plain/model.safetensors"
    ).read_bytes()
    assert (tmp_path / "m/config.json").read_text() == (tmp_path / "plain/config.json").read_text()


@pytest.mark.parametrize("method", ["add_head_count_kv", "add_rope_freq_base"])
def test_a_setting_that_is_left_out_has_the_value_of_llama_cpp(
    tiny_model_folder, gguf_writer, tmp_path, method
):
    """The tiny model has fewer heads for keys than for queries, and its base is 10,000."""
    gguf_writer(tiny_model_folder, tmp_path / "m.gguf", leave_out=[method])
    if method == "add_rope_freq_base":
        gguf.convert(tmp_path / "m.gguf", tmp_path / "out")
        assert (
            json.loads((tmp_path / "out/config.json").read_text())["rope_parameters"]["rope_theta"] == 10_000
        )
    else:
        with pytest.raises(InputError):
            gguf.convert(tmp_path / "m.gguf", tmp_path / "out")


FAMILIES = {
    "gemma2": ("gemma2", {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "attention.key_length": 256,
                          "attention.value_length": 256, "attention.sliding_window": 4096, "rope.freq_base": 1e4}),
    "gemma3": ("gemma3_text", {"attention.sliding_window": 4096, "rope.freq_base": 1e6, "rope.freq_base_swa": 1e4}),
    "stablelm": ("stablelm", {"rope.dimension_count": 20, "use_parallel_residual": False, "rope.freq_base": 1e4}),
    "nemotron": ("nemotron", {"rope.dimension_count": 64, "attention.layer_norm_epsilon": float(np.float32(1e-5))}),
    "phi3": ("phi3", {"rope.dimension_count": 96, "attention.sliding_window": 262144, "context_length": 131072}),
    "falcon": ("falcon", {"attention.head_count": 71, "tensor_data_layout": "jploski"}),
    "mamba": ("mamba", {"attention.head_count": 0, "ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.dt_b_c_rms": False}),
    "gpt2": ("gpt2", {"attention.head_count": 12, "attention.layer_norm_epsilon": float(np.float32(1e-5))}),
    "bloom": ("bloom", {"attention.head_count": 8, "attention.head_count_kv": 8}),
    "t5": ("t5", {"attention.key_length": 64, "attention.relative_buckets_count": 32}),
    "lfm2": ("lfm2", {"attention.head_count_kv": [0, 0, 8, 0, 8], "shortconv.l_cache": 3, "rope.freq_base": 1e6}),
    "gpt-oss": ("gpt_oss", {"rope.freq_base": 150000.0, "rope.scaling.factor": 32.0, "expert_used_count": 4}),
}  # fmt: skip


@pytest.mark.parametrize("architecture", FAMILIES)
def test_what_the_families_files_state_is_followed_and_another_value_is_not(architecture):
    """Each setting as llama.cpp's converter writes it, against transformers' defaults for the family; then doubled."""
    from transformers import CONFIG_MAPPING

    model_type, settings = FAMILIES[architecture]
    config = CONFIG_MAPPING[model_type]()
    metadata = {
        f"{architecture}.{key}": value for key, value in {"context_length": 100_000, **settings}.items()
    }
    header = gguf_header.GgufHeader(architecture, metadata, {})
    gguf_check._check_followed(header, config, Path("m.gguf"))
    numbers = {key: value for key, value in metadata.items() if type(value) in {int, float} and value}
    for key in numbers.keys() - {"phi3.attention.sliding_window", f"{architecture}.context_length"}:
        changed = gguf_header.GgufHeader(architecture, {**metadata, key: 2 * metadata[key]}, {})
        with pytest.raises(InputError) as caught:
            gguf_check._check_followed(changed, config, Path("m.gguf"))
        assert key in caught.value.found


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def start(keys, tensors=0):
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)


ARCHITECTURE = text("general.architecture") + struct.pack("<I", 8) + text("llama")


def array(item, count):
    return text("a") + struct.pack("<IIQ", 9, item, count)


BOMBS = {
    "an array of 2^40 bytes": start(2) + ARCHITECTURE + array(0, 2**40) + bytes(80),
    "an array of 2^62 numbers": start(2) + ARCHITECTURE + array(10, 2**62) + bytes(80),
    "an array of 2^40 texts": start(2) + ARCHITECTURE + array(8, 2**40) + bytes(80),
    "arrays inside arrays": start(2) + ARCHITECTURE + array(9, 1) + struct.pack("<IQ", 9, 1) * 5000 + bytes(80),
    "2^60 keys": start(2**60) + ARCHITECTURE + bytes(80),
    "2^60 tensors": start(1, 2**60) + ARCHITECTURE + bytes(80),
    "a key of 2^63 bytes": start(1) + struct.pack("<Q", 2**63) + bytes(80),
    "a text of 2^63 bytes": start(1) + text("a") + struct.pack("<IQ", 8, 2**63) + bytes(80),
    "a tensor of 2^31 dimensions": start(1, 1) + ARCHITECTURE + text("t") + struct.pack("<I", 2**31) + bytes(80),
    "a tensor of 2^120 numbers": start(1, 1) + ARCHITECTURE + text("t") + struct.pack("<IQQIQ", 2, 2**60, 2**60, 0, 0) + bytes(80),
    "a tensor far behind the end": start(1, 1) + ARCHITECTURE + text("t") + struct.pack("<IQIQ", 1, 4, 0, 2**62) + bytes(80),
    "an unknown kind of number": start(1, 1) + ARCHITECTURE + text("t") + struct.pack("<IQIQ", 1, 4, 999, 0) + bytes(80),
    "an alignment of 0": start(2, 1) + ARCHITECTURE + text("general.alignment") + struct.pack("<II", 4, 0) + text("t") + struct.pack("<IQIQ", 1, 4, 0, 0) + bytes(80),
    "a type that is none": start(1) + text("a") + struct.pack("<I", 77) + bytes(80),
    "text that is not UTF-8": start(1) + struct.pack("<Q", 2) + b"\xff\xfe" + bytes(80),
    "version 1": b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(80),
    "nothing behind the magic": b"GGUF",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_counts_and_lengths_are_held_against_the_files_size(tmp_path, name):
    (tmp_path / "m.gguf").write_bytes(BOMBS[name])
    with time_limit(10), pytest.raises(InputError) as caught:
        gguf_header.read(tmp_path / "m.gguf")
    assert caught.value.where == str(tmp_path / "m.gguf")


def test_llama_3s_long_context_is_read_out_of_its_divisors(tiny_model_folder, gguf_writer, tmp_path):
    """Reference: the same model as transformers loads it from safetensors with `rope_type: llama3`."""
    import torch
    from transformers import AutoModelForCausalLM

    rope = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rope_parameters": rope}))
    want = AutoModelForCausalLM.from_pretrained(folder)
    plain = 1 / 500_000.0 ** (torch.arange(4) / 4)
    divisors = (plain / want.model.rotary_emb.inv_freq).numpy()
    assert divisors.max() == pytest.approx(8.0)
    gguf_writer(folder, tmp_path / "m.gguf", change=lambda t: t.update({"rope_freqs.weight": divisors}))
    gguf.convert(tmp_path / "m.gguf", tmp_path / "out")
    got = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = torch.arange(200)[None]
    with torch.no_grad():
        assert torch.equal(got(ids).logits, want(ids).logits)
    ones = lambda t: t.update({"rope_freqs.weight": np.ones(4, np.float32)})  # noqa: E731
    gguf_writer(tiny_model_folder, tmp_path / "ones.gguf", change=ones)
    gguf.convert(tmp_path / "ones.gguf", tmp_path / "plain")
    assert (
        json.loads((tmp_path / "plain/config.json").read_text())["rope_parameters"]["rope_type"] == "default"
    )


def beside(folder, mark):
    """Files that change what transformers makes of a folder, and code that leaves a mark when it is imported."""
    folder.mkdir()
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass T: pass\n")
    files = {
        "tokenizer_config.json": {
            "auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]}, "tokenizer_class": "T", "model_max_length": 7
        },
        "config.json": {"model_type": "evil", "auto_map": {"AutoConfig": "evil.T", "AutoModelForCausalLM": "evil.T"}},
        "special_tokens_map.json": {"eos_token": "Hello", "pad_token": "x"},
        "added_tokens.json": {"<new>": 300},
        "generation_config.json": {"eos_token_id": 5, "custom_generate": "evil.py"},
        "adapter_config.json": {"base_model_name_or_path": "evil", "peft_type": "LORA"},
        "tokenizer.json": {"version": "1.0"},
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "chat_template.jinja").write_text("another template")
    (folder / "chat_templates").mkdir()
    (folder / "chat_templates/default.jinja").write_text("another template")
    (folder / "model.safetensors").write_bytes(b"no weights")
    os.mkfifo(folder / "vocab.json")


def test_nothing_beside_the_file_changes_what_it_becomes(tiny_gguf, cache, tmp_path, monkeypatch):
    """Nor is anything asked, on a terminal or not: stdin is not read."""
    mark = tmp_path / "mark"
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a person was asked"))
    clean = resolve(str(tiny_gguf))
    want = {path.name: path.read_bytes() for path in clean.folder.iterdir()}
    shutil.rmtree(clean.folder)
    beside(tmp_path / "crowded", mark)
    shutil.copy(tiny_gguf, tmp_path / "crowded/m.gguf")
    with time_limit(60):
        crowded = resolve(str(tmp_path / "crowded/m.gguf"))
        assert {path.name: path.read_bytes() for path in crowded.folder.iterdir()} == want
    assert not mark.exists()


def test_what_an_older_converter_left_in_the_cache_is_made_again(tiny_gguf, cache):
    source = resolve(str(tiny_gguf))
    want = fingerprint(source)
    manifest = source.folder / model_cache.MANIFEST
    facts = json.loads(manifest.read_text())
    (source.folder / "tokenizer_config.json").write_text('{"eos_token": "Hello"}')
    model_cache.write_manifest(source.folder, {"gguf_sha256": facts["gguf_sha256"], "converter": 1})
    assert fingerprint(resolve(str(tiny_gguf))) == want
    assert load(source).ends == (2,)


@pytest.mark.parametrize("kind", ["FIFO", "link to a device", "folder"])
def test_a_gguf_that_is_no_file_is_refused_unread(tmp_path, kind):
    path = tmp_path / "m.gguf"
    {"FIFO": os.mkfifo, "link to a device": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir}[kind](
        path
    )
    with time_limit(10), pytest.raises(InputError) as caught:
        resolve(str(path))
    assert str(path) in caught.value.block()
