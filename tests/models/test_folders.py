"""A model's folder: which of its files are read, what they must be, and how far their settings may reach."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from mutations import time_limit
from tutelage.core.errors import InputError
from tutelage.models import add_adapter, export, folders, load, load_tokenizer, resolve, settings_limits


@pytest.fixture
def model(tiny_model_folder, tmp_path):
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


@pytest.fixture(scope="module")
def tuned(tiny_model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "adapter"
    base = resolve(str(tiny_model_folder))
    export(add_adapter(load(base), "lora", {"rank": 2}, seed=0), folder, merge=False, base=base)
    return folder


@pytest.fixture
def adapter(tuned, tmp_path):
    return Path(shutil.copytree(tuned, tmp_path / "adapter"))


def edit(path, **changes):
    settings = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**settings, **changes}), "utf-8")


def logits(folder):
    import torch

    loaded = load(resolve(str(folder)))
    with torch.no_grad():
        return loaded, loaded.model(torch.tensor([[1, 40, 50, 60, 2, 3]])).logits


def a_socket(path):
    # The address of a socket is short: bound by its name, from its folder.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


NO_FILES = {
    "FIFO": os.mkfifo,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a FIFO": lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "socket": a_socket,
    "folder": Path.mkdir,
}
READ = [
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "vocab.json", "merges.txt", "tokenizer.model", "model.safetensors",
    "model.safetensors.index.json", "adapter_config.json",
]  # fmt: skip


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused_unread(model, kind):
    for name in READ:
        folder = Path(shutil.copytree(model, model.parent / name))
        (folder / name).unlink(missing_ok=True)
        NO_FILES[kind](folder / name)
        with time_limit(10), pytest.raises(InputError) as caught:
            load_tokenizer(resolve(str(folder)))
        assert caught.value.where == str(folder / name), name


def test_settings_and_vocabularies_are_bounded_in_size(model):
    for name in ("special_tokens_map.json", "vocab.json"):
        with (model / name).open("wb") as file:
            file.truncate(10**10)
        with pytest.raises(InputError, match="too large") as caught:
            resolve(str(model))
        assert caught.value.where == str(model / name)
        (model / name).unlink()


def test_what_is_not_fingerprinted_is_not_read(model, tiny_model_folder):
    """Files that transformers looks for by itself: further templates, code, a vocabulary of another library."""
    import torch

    (model / "chat_templates").mkdir()
    (model / "chat_templates/default.jinja").write_text("another template")
    (model / "chat_template.json").write_text('{"chat_template": "another template"}')
    (model / "processor_config.json").write_text('{"chat_template": "another template"}')
    (model / "tekken.json").write_text("{}")
    (model / "custom_generate").mkdir()
    (model / "custom_generate/generate.py").write_text("raise SystemExit('code of the model was run')")
    (plain, want), (crowded, got) = logits(tiny_model_folder), logits(model)
    assert torch.equal(got, want)
    assert crowded.chat_template == plain.chat_template
    assert crowded.ends == plain.ends


def test_every_vocabulary_that_transformers_knows_is_in_the_fingerprint():
    """Reference: the names of files in the sources of transformers' own tokenizers."""
    places = find_spec("transformers").submodule_search_locations
    sources = Path(places[0]).glob("models/*/tokenization_*.py")
    tables = [
        re.search(r"^VOCAB_FILES_NAMES = \{(.*?)\}", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        for path in sources
    ]
    names = {name for table in tables if table for name in re.findall(r': "([^"]+)"', table[1])}
    assert len(names) > 15
    assert names <= {*folders.TOKENIZER_FILES, *folders.RARE_FILES}


CONFIGS = {
    "a width that is a word": {"hidden_size": "x"},
    "a width that is not the weights'": {"hidden_size": 64},
    "no heads": {"num_attention_heads": 0},
    "heads that do not divide the width": {"num_attention_heads": 5, "head_dim": None},
    "heads without width": {"head_dim": 0},
    "negative heads": {"num_key_value_heads": -2},
    "10^9 layers": {"num_hidden_layers": 10**9},
    "5,000 layers": {"num_hidden_layers": 5000},
    "a layer too many": {"num_hidden_layers": 3},
    "a layer too few": {"num_hidden_layers": 1},
    "10^9 labels": {"num_labels": 10**9},
    "10^9 labels inside": {"text_config": {"num_labels": 10**9}},
    "10^9 positions": {"max_position_embeddings": 10**9},
    "more than all dropped": {"attention_dropout": 1.5},
    "no positions": {"max_position_embeddings": 0},
    "a vocabulary of 10^9": {"vocab_size": 10**9},
    "a middle of 10^9": {"intermediate_size": 10**9},
    "an activation that is none": {"hidden_act": "x"},
    "a flash that is not there": {"_attn_implementation": "flash_attention_2"},
    "rotary settings that are none": {"rope_parameters": {"rope_type": "x"}},
    "rotary settings without numbers": {"rope_parameters": {"rope_type": "yarn", "factor": "x"}},
    "ends that are words": {"eos_token_id": "x"},
    "ends inside lists": {"eos_token_id": [[2]]},
    "a type that is none": {"dtype": "float7"},
    "an architecture that is none": {"model_type": "x"},
    "a model that writes nothing": {"model_type": "vit"},
    "an object for a kind": {"model_type": {}},
    "quantised by a word": {"quantization_config": "x"},
}  # fmt: skip
METHODS = {
    "bitsandbytes": {"load_in_4bit": True}, "torchao": {"quant_type": "int4_weight_only"}, "hqq": {},
    "compressed-tensors": {"format": "pack-quantized"}, "gptq": {"bits": 4}, "awq": {"bits": 4}, "fp8": {},
    "aqlm": {}, "quanto": {"weights": "int4"}, "mxfp4": {}, "x": {}, "eetq": {}, "higgs": {}, "vptq": {},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_that_fit_no_model_are_refused(model, name):
    edit(model / "config.json", **CONFIGS[name])
    with time_limit(20), pytest.raises(InputError) as caught:
        load(resolve(str(model)))
    assert str(model) in caught.value.where
    assert str(caught.value.found)
    assert "tutelage-" not in caught.value.block(), "the private folder is not shown"


@pytest.mark.parametrize("method", METHODS)
def test_a_quantised_model_whose_package_is_not_there_is_refused(model, tiny_model_folder, method):
    """Where transformers needs no package for it, as for plain weights under fp8, the answers are those of the weights."""
    import torch

    want = logits(tiny_model_folder)[1]
    edit(model / "config.json", quantization_config={"quant_method": method, **METHODS[method]})
    try:
        assert torch.equal(logits(model)[1], want)
    except InputError as error:
        assert str(model) in str(error.where)  # noqa: PT017  # either way out is right
        assert "quantised" in str(error.fix)  # noqa: PT017


GENERATIONS = [
    {"eos_token_id": "x"}, {"eos_token_id": [2, None, "x"]}, {"eos_token_id": 2.5}, {"eos_token_id": True},
    {"pad_token_id": "x"}, {"bos_token_id": [1]}, {"forced_eos_token_id": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("settings", GENERATIONS, ids=str)
def test_generation_settings_of_other_types_are_refused(model, settings):
    edit(model / "generation_config.json", **settings)
    for use in (load, load_tokenizer):
        with pytest.raises(InputError) as caught:
            use(resolve(str(model)))
        assert str(model) in caught.value.where


def _tokenizer(**changes):
    return lambda folder: edit(folder / "tokenizer.json", **changes)


def _settings(**changes):
    return lambda folder: edit(folder / "tokenizer_config.json", **changes)


def _model(**changes):
    def spoil(folder):
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text("utf-8"))
        content["model"] |= changes
        path.write_text(json.dumps(content))

    return spoil


TOKENIZERS = {
    "a merge of unknown parts": _model(merges=[["x\u4e2d", "y"]]),
    "merges that are words": _model(merges="x"),
    "an unknown type": _model(type="x"),
    "unigram without scores": _model(type="Unigram", vocab=[["a", 0.0]], unk_id=None),
    "a vocabulary of negative ids": _model(vocab={"a": -1, "b": -2}),
    "a vocabulary beyond 32 bits": _model(vocab={"a": 2**40}),
    "no model": _tokenizer(model=None),
    "a pre-tokenizer that is none": _tokenizer(pre_tokenizer={"type": "x"}),
    "a pattern that is none": _tokenizer(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}
    ),
    "no JSON": lambda folder: (folder / "tokenizer.json").write_text("x"),
    "ByT5's class": _settings(tokenizer_class="ByT5Tokenizer"),
    "a length that is a word": _settings(model_max_length="x"),
    "no length": _settings(model_max_length=0),
    "a negative length": _settings(model_max_length=-5),
    "a token far beyond the others": _settings(added_tokens_decoder={"5000": {"content": "<new>"}}),
    "an end that is a number": _settings(eos_token=5),
    "an end that is a list": _settings(eos_token=["a"]),
    "added tokens that are a list": _settings(added_tokens_decoder=[1]),
    "added tokens of negative ids": _settings(added_tokens_decoder={"-7": {"content": "<new>"}}),
    "special tokens that are a list": lambda folder: (folder / "special_tokens_map.json").write_text("[]"),
    "added tokens that are words": lambda folder: (folder / "added_tokens.json").write_text('"x"'),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_damaged_tokenizers_are_refused_or_work(model, name, capfd):
    """Some of the settings say nothing where tokenizer.json says all; then the ids are those of the clean tokenizer."""
    clean = load_tokenizer(resolve(str(model))).tokenizer("What is the price?")["input_ids"]
    TOKENIZERS[name](model)
    try:
        with time_limit(20):
            ids = load_tokenizer(resolve(str(model))).tokenizer("What is the price?")["input_ids"]
        assert ids == clean
    except InputError as error:
        assert str(model) in str(error.where)  # noqa: PT017  # either way out is right


ADAPTERS = {
    "a pattern that never ends": {"target_modules": "(.*.*.*.*.*.*.*.*.*.*.*.*)=x"},
    "ranks under such a pattern": {"rank_pattern": {"(.*.*.*.*.*.*.*.*.*.*.*.*)=x": 2}},
    "a pattern of endless size": {"target_modules": "((((a{9999}){9999}){9999}){9999})"},
    "a pattern that is none": {"target_modules": "("},
    "layers 5,000 times": {"layer_replication": [[0, 2]] * 5000},
    "layers there and back": {"layer_replication": [[0, 5000], [5000, 0]]},
    "layers without an end": {"layer_replication": [[0, 10**9]]},
    "layers that are words": {"layer_replication": "x"},
    "iterations without end": {"init_lora_weights": "pissa_niter_99999999"},
    "iterations of LoftQ without end": {"init_lora_weights": "loftq", "loftq_config": {"loftq_iter": 10**9}},
    "a rank of 10^9": {"r": 10**9},
    "a rank of 10^9 for some": {"rank_pattern": {"q_proj": 10**9}},
    "a rank that is a word": {"r": "x"},
    "no rank": {"r": 0},
    "a kind that is none": {"peft_type": "x"},
    "a task that is none": {"task_type": "x"},
    "a tokenizer of its own": {"tokenizer_kwargs": {"trust_remote_code": True}},
    "prompts of 10^9": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 10**9},
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapters_settings_are_bounded(adapter, name):
    edit(adapter / "adapter_config.json", **ADAPTERS[name])
    with time_limit(30), pytest.raises(InputError) as caught:
        load(resolve(str(adapter)))
    assert str(adapter) in caught.value.where


def test_every_pattern_of_an_adapters_settings_is_tried_as_peft_puts_it_together():
    settings = {
        "target_modules": "a.*",
        "exclude_modules": "b.*",
        "feedforward_modules": ["c"],
        "modules_to_save": ["d*"],
    }
    settings |= {"layers_pattern": "e+", "rank_pattern": {"f*": 1, "plain": 2}, "alpha_pattern": {"g*": 3}}
    assert list(settings_limits._patterns(settings)) == [
        "a.*", "b.*", r"(^|.*\.)d*($|\..*)", r"(?:^|.*?\.)e+\.(?P<idx>\d+)\.", r"(.*\.)?(f*)$", r"(.*\.)?(g*)$",
    ]  # fmt: skip


def test_a_pattern_that_is_quick_is_followed(adapter):
    import torch

    want = logits(adapter)[1]
    edit(adapter / "adapter_config.json", target_modules=r".*\.(q|k|v|o|gate|up|down)_proj")
    assert torch.equal(logits(adapter)[1], want)


def test_weights_that_are_no_numbers_are_refused(model):
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"][3] = torch.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"not numbers|NaN"):
        load(resolve(str(model)))


@pytest.mark.parametrize(
    "name",
    ["a/..", "a/.", "a/b--c", "a/b..c", "a/b.git", "a/b@..", "a/b@../x", "~nobody/x", "x" * 5000, "a\0b"],
)
def test_names_that_no_model_can_have_are_input_errors(name):
    with pytest.raises(InputError):
        resolve(name)
