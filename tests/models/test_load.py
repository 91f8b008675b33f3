from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tutelage.core.errors import InputError
from tutelage.models import count_parameters, load, load_tokenizer, loaded_fingerprint, resolve

PADS_WITH_THE_END = {"pad_token": "<|im_end|>"}
OTHER_TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"


@pytest.fixture
def copy(tiny_model_folder, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "copy"))


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_decoder_only_model_comes_ready_to_answer(tiny_model_folder, capfd):
    import torch

    loaded = load(resolve(str(tiny_model_folder)))
    assert (loaded.encoder_decoder, loaded.adapter, loaded.ends, loaded.pad, loaded.context) == (
        False,
        False,
        (2,),
        0,
        512,
    )
    assert not loaded.model.training
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert loaded.model.config._attn_implementation == "sdpa"
    assert "<|im_start|>" in loaded.chat_template
    # Progress bars and advice of the libraries stay out of the person's sight.
    assert capfd.readouterr() == ("", "")


def test_an_encoder_decoder_model_is_told_apart(tiny_t5_folder):
    loaded = load(resolve(str(tiny_t5_folder)))
    assert (loaded.encoder_decoder, loaded.ends, loaded.pad, loaded.chat_template) == (True, (1,), 0, None)
    assert type(loaded.model).__name__ == "T5ForConditionalGeneration"
    assert loaded.model.generation_config.decoder_start_token_id == 0


def test_the_chat_template_in_use_is_part_of_the_fingerprint(tiny_model_folder):
    source = resolve(str(tiny_model_folder))
    own = load(source)
    other = load(source, chat_template=OTHER_TEMPLATE)
    assert other.chat_template == other.tokenizer.chat_template == OTHER_TEMPLATE
    assert own.fingerprint != other.fingerprint
    # Naming the model's own template changes nothing.
    assert load(source, chat_template=own.chat_template).fingerprint == own.fingerprint
    words = load_tokenizer(source)
    assert loaded_fingerprint(source, words.chat_template) == own.fingerprint
    assert (
        loaded_fingerprint(source, words.chat_template, "bfloat16")
        == load(source, dtype="bfloat16").fingerprint
    )


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% for m in messages %}", "not valid Jinja"),
        ("{{ messages[5].content.x }}", "cannot write"),
        ("{{ raise_exception('no') }}", "cannot write"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "does what a template may not"),
        ("{% set x = 'a' * 5000000000 %}", "needs too much memory"),
    ],
)
def test_a_broken_or_hostile_chat_template_is_refused(copy, template, problem):
    with pytest.raises(InputError, match=problem) as caught:
        load(resolve(str(copy)), chat_template=template)
    assert caught.value.where == "chat_template"
    (copy / "chat_template.jinja").write_text(template)
    for read in (load, load_tokenizer):
        with pytest.raises(InputError, match=problem) as caught:
            read(resolve(str(copy)))
        assert caught.value.where == str(copy / "chat_template.jinja")


def test_weights_that_are_missing_are_never_made_up(copy):
    edit(copy / "config.json", num_hidden_layers=3)
    with pytest.raises(InputError, match="lack 9 of the tensors") as caught:
        load(resolve(str(copy)))
    assert "layers.2." in caught.value.found


def rewrite(folder: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    state = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(change(state), folder / "model.safetensors", {"format": "pt"})


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("change", "problem", "found"),
    [
        (
            lambda s: {**s, "model.layers.2.more.weight": s[NORM] + 1},
            "hold 1 tensors that LlamaFor",
            "layers.2.more",
        ),
        (lambda s: {(f"x.{n}" if n == NORM else n): t for n, t in s.items()}, "lack 1 of", f"no {NORM}"),
        (lambda s: {**s, NORM: s[NORM] * float("nan")}, "1 tensors of the weights hold NaN", NORM),
        (lambda s: {**s, NORM: s[NORM] + float("inf")}, "1 tensors of the weights hold NaN", NORM),
        (lambda s: {**s, NORM: s[NORM].int()}, "no plain floating-point", f"{NORM}: I32"),
        (
            lambda s: {**s, NORM: s[NORM].to(torch.float8_e4m3fn)},
            "no plain floating-point",
            f"{NORM}: F8_E4M3",
        ),
    ],
)
def test_weights_that_are_not_the_configs_are_refused_by_name(copy, change, problem, found):
    rewrite(copy, change)
    with pytest.raises(InputError, match=problem) as caught:
        load(resolve(str(copy)))
    assert found in caught.value.found


def test_a_copy_of_the_tied_output_layer_and_tensors_that_transformers_passes_over_are_no_damage(
    copy, tiny_model_folder
):
    """As some checkpoints of the hub have them: the output layer once more, and the rotary buffers of old releases."""
    buffers = (
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.layers.0.self_attn.masked_bias",
        "mtp.0.norm.weight",
    )
    more = {name: torch.ones(4) for name in buffers}
    rewrite(copy, lambda s: {**s, **more, "lm_head.weight": s["model.embed_tokens.weight"].clone()})
    ids = torch.tensor([[1, 40, 50]])
    with torch.no_grad():
        ours, clean = (load(resolve(str(f))).model(ids).logits for f in (copy, tiny_model_folder))
    assert torch.equal(ours, clean)


def shards(folder: Path, change=lambda mapping: mapping, **more) -> None:
    """The model in two pieces, with an index that `change` spoils, and tensors that the second piece holds besides."""
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    for number, part in enumerate((names[:5], names[5:])):
        held = {name: state[name] for name in part} | (more if number else {})
        save_file(held, folder / f"model-{number}.safetensors", {"format": "pt"})
    mapping = {name: f"model-{int(name not in names[:5])}.safetensors" for name in names}
    index = {"metadata": {}, "weight_map": change(mapping)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "more", "problem"),
    [
        (lambda m: {**m, "x": "model-0.safetensors"}, {}, "index of the weights and a file do not agree"),
        (
            lambda m: {n: f for n, f in m.items() if n != NORM},
            {},
            "index of the weights and a file do not agree",
        ),
        (lambda m: m, {"x": torch.ones(2)}, "index of the weights and a file do not agree"),
        (
            lambda m: m,
            {"model.embed_tokens.weight": torch.zeros(2)},
            "index of the weights and a file do not agree",
        ),
        (lambda m: {**m, NORM: "model-0.safetensors"}, {}, "index of the weights and a file do not agree"),
        (lambda m: {**m, NORM: "model-7.safetensors"}, {}, "1 of 3 files of weights are missing"),
    ],
)
def test_an_index_lists_each_tensor_where_it_is_and_no_other(copy, change, more, problem):
    shards(copy, change, **more)
    with pytest.raises(InputError, match=problem):
        load(resolve(str(copy)))


def test_a_model_in_pieces_is_the_model(copy, tiny_model_folder):
    shards(copy)
    ids = torch.tensor([[1, 40, 50]])
    with torch.no_grad():
        ours, whole = (load(resolve(str(f))).model(ids).logits for f in (copy, tiny_model_folder))
    assert torch.equal(ours, whole)
    shutil.copy(tiny_model_folder / "model.safetensors", copy)
    with pytest.raises(InputError, match="names other files than the one that holds the weights"):
        resolve(str(copy))


def test_an_adapter_beside_a_whole_model_is_never_put_on_it_without_a_word(copy):
    """transformers would load the adapter of such a folder, from adapter_model.bin where there is nothing else."""
    config = {"peft_type": "LORA", "base_model_name_or_path": "x/y", "r": 2, "target_modules": ["q_proj"]}
    (copy / "adapter_config.json").write_text(json.dumps(config))
    (copy / "adapter_model.bin").write_bytes(b"a pickle")
    with pytest.raises(InputError, match="a model and an adapter at once"):
        resolve(str(copy))


def test_weights_of_another_shape_are_refused(copy):
    edit(copy / "config.json", intermediate_size=128)
    with pytest.raises(InputError, match="6 tensors of the weights have another shape") as caught:
        load(resolve(str(copy)))
    assert (caught.value.found, caught.value.expected) == (
        "model.layers.0.mlp.down_proj.weight: [32, 64]",
        "[32, 128]",
    )


def test_a_tokenizer_larger_than_the_model_is_refused(copy):
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    token = {**tokenizer["added_tokens"][0], "id": 300, "content": "<new>"}
    edit(copy / "tokenizer.json", added_tokens=[*tokenizer["added_tokens"], token])
    with pytest.raises(InputError, match="more tokens than the model"):
        load(resolve(str(copy)))


def test_a_damaged_tokenizer_is_named(copy):
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="tokenizer could not be read"):
        load(resolve(str(copy)))


def test_padding_with_an_end_token_is_put_right_for_model_settings_and_tokenizer_alike(copy):
    """What huggingface/transformers issue 48016 tells of: pad among the end tokens, and every answer is empty."""
    edit(copy / "tokenizer_config.json", **PADS_WITH_THE_END)
    edit(
        copy / "generation_config.json", eos_token_id=[2, 5], pad_token_id=2, do_sample=True, temperature=0.6
    )
    loaded = load(resolve(str(copy)))
    settings = loaded.model.generation_config
    assert (loaded.ends, loaded.pad) == ((2, 5), 0)
    assert (settings.eos_token_id, settings.pad_token_id, loaded.model.config.pad_token_id) == ([2, 5], 0, 0)
    assert loaded.tokenizer.pad_token_id == 0
    assert not settings.do_sample
    assert settings.temperature is None


def test_without_any_token_to_pad_with_none_is_invented(copy):
    edit(copy / "tokenizer_config.json", **PADS_WITH_THE_END)
    edit(copy / "generation_config.json", eos_token_id=[0, 2], pad_token_id=2)
    edit(copy / "config.json", pad_token_id=2)
    loaded = load(resolve(str(copy)))
    assert loaded.tokenizer.pad_token is None
    assert loaded.model.generation_config.pad_token_id is None
    assert (loaded.ends, loaded.pad, len(loaded.tokenizer)) == ((2, 0), 0, 300)


def test_the_number_of_parameters_is_read_from_headers(tiny_model_folder):
    source = resolve(str(tiny_model_folder))
    assert count_parameters(source) == sum(p.numel() for p in load(source).model.parameters())


def test_bfloat16_when_it_is_asked_for(tiny_model_folder):
    import torch

    loaded = load(resolve(str(tiny_model_folder)), dtype="bfloat16")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}


def test_an_architecture_that_transformers_does_not_know_is_named(copy):
    edit(copy / "config.json", model_type="lama")
    with pytest.raises(InputError, match="could not be read") as caught:
        load(resolve(str(copy)))
    assert "lama" in caught.value.found


@pytest.mark.parametrize("kind", ["llama", "t5", "pads with the end", "two ends", "no generation settings"])
def test_the_tokenizer_alone_is_the_one_that_the_model_comes_with(kind, tiny_t5_folder, copy, monkeypatch):
    folder = tiny_t5_folder if kind == "t5" else copy
    if kind == "pads with the end":
        edit(copy / "tokenizer_config.json", **PADS_WITH_THE_END)
    if kind == "two ends":
        edit(copy / "generation_config.json", eos_token_id=[2, 0])
    if kind == "no generation settings":
        (copy / "generation_config.json").unlink()
        edit(copy / "config.json", eos_token_id=[2, 1], max_position_embeddings=200)
    source = resolve(str(folder))
    whole = load(source)
    monkeypatch.setattr("safetensors.safe_open", lambda *_, **__: pytest.fail("weights were read"))
    light = load_tokenizer(source)
    assert (light.encoder_decoder, light.chat_template, light.context, light.ends) == (
        whole.encoder_decoder,
        whole.chat_template,
        whole.context,
        whole.ends,
    )
    assert light.tokenizer.pad_token_id == whole.tokenizer.pad_token_id
    assert light.tokenizer.model_max_length == whole.tokenizer.model_max_length
    assert light.stated_pad == (2 if kind == "pads with the end" else 0)
    assert light.tokenizer("Hello<|im_end|>")["input_ids"] == whole.tokenizer("Hello<|im_end|>")["input_ids"]


def test_the_tokenizer_alone_is_refused_as_with_the_model(copy):
    source = resolve(str(copy))
    with pytest.raises(InputError, match="not valid Jinja"):
        load_tokenizer(source, chat_template="{% for %}")
    edit(copy / "config.json", vocab_size=100)
    with pytest.raises(InputError, match="more tokens than the model"):
        load_tokenizer(source)
    (copy / "config.json").write_text('{"model_type": "unheard-of"}')
    with pytest.raises(InputError, match="settings could not be read"):
        load_tokenizer(source)
