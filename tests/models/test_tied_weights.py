"""Adapters on weights that stand in two places: what is written merged answers as base and adapter apart do."""

from __future__ import annotations

import json
import warnings

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from tutelage.core.errors import InputError
from tutelage.models import export, interpolate, load, logit_agreement, resolve, tied_weights
from tutelage.models.combine import combine
from tutelage.models.interpolate import interpolate_with_base

PLACES = {
    "output layer": {"target_modules": ["lm_head", "q_proj"]},
    "embeddings": {"target_modules": ["embed_tokens"]},
    "both": {"target_modules": ["lm_head", "embed_tokens"]},
    "a whole output layer": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "whole embeddings": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "some tokens": {"target_modules": ["q_proj"], "trainable_token_indices": [5, 9]},
}


def logits(model, pairs):
    ids = torch.tensor([[1, 40, 50, 60, 7, 3], [5, 9, 30, 41, 8, 2]])
    with torch.no_grad():
        return model(input_ids=ids, **({"decoder_input_ids": ids} if pairs else {})).logits


def saved_by_peft(base, folder, *, seed=0, **settings):
    pairs = "t5" in base.name
    kind = AutoModelForSeq2SeqLM if pairs else AutoModelForCausalLM
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        task = "SEQ_2_SEQ_LM" if pairs else "CAUSAL_LM"
        tuned = peft.get_peft_model(
            kind.from_pretrained(base), peft.LoraConfig(r=4, task_type=task, **settings)
        )
        with torch.no_grad():
            for parameter in tuned.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape) * 0.1)
        tuned.save_pretrained(folder)
    return resolve(str(folder))


def plain(folder, *, pairs=False):
    kind = AutoModelForSeq2SeqLM if pairs else AutoModelForCausalLM
    return logits(kind.from_pretrained(folder).eval(), pairs)


@pytest.mark.parametrize("place", PLACES)
def test_merged_or_interpolated_to_its_end_it_is_the_adapter(place, tiny_model_folder, tmp_path):
    source = saved_by_peft(tiny_model_folder, tmp_path / "adapter", **PLACES[place])
    loaded = load(source)
    want = logits(loaded.model, pairs=False)
    base = plain(tiny_model_folder)
    assert (want - base).abs().max() > 0.1
    export(loaded, tmp_path / "merged", merge=True, base=source.base)
    assert torch.allclose(plain(tmp_path / "merged"), want, atol=1e-5)
    assert json.loads((tmp_path / "merged/config.json").read_text())["tie_word_embeddings"] is False
    assert torch.equal(logits(loaded.model, pairs=False), want)
    interpolate_with_base(source, 1.0, tmp_path / "end")
    assert torch.allclose(plain(tmp_path / "end"), want, atol=1e-5)
    interpolate_with_base(source, 0.0, tmp_path / "start")
    assert torch.allclose(plain(tmp_path / "start"), base, atol=1e-5)


def test_halfway_both_places_are_on_their_own_line(tiny_model_folder, tmp_path):
    source = saved_by_peft(tiny_model_folder, tmp_path / "adapter", **PLACES["output layer"])
    interpolate_with_base(source, 0.5, tmp_path / "half")
    export(load(source), tmp_path / "merged", merge=True, base=source.base)
    base, whole, half = (
        load_file(f / "model.safetensors")
        for f in (tiny_model_folder, tmp_path / "merged", tmp_path / "half")
    )
    embedding = base["model.embed_tokens.weight"]
    assert torch.equal(half["model.embed_tokens.weight"], embedding)
    assert torch.allclose(half["lm_head.weight"], (embedding + whole["lm_head.weight"]) / 2, atol=1e-6)


def test_a_sum_on_the_output_layer_is_the_adapters_at_once(tiny_model_folder, tmp_path):
    one = saved_by_peft(tiny_model_folder, tmp_path / "a", **PLACES["output layer"])
    other = saved_by_peft(tiny_model_folder, tmp_path / "b", seed=1, target_modules=["v_proj", "lm_head"])
    alone = combine([one, other], [1.0, 0.0])
    assert torch.allclose(logits(alone.model, pairs=False), logits(load(one).model, pairs=False), atol=1e-5)
    both = combine([one, other], [0.5, -2.0])
    want = logits(both.model, pairs=False)
    export(both, tmp_path / "sum", merge=True, base=one.base)
    assert torch.allclose(plain(tmp_path / "sum"), want, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [{"target_modules": ["lm_head", "q"]}, {"target_modules": ["q"], "modules_to_save": ["lm_head"]}],
)
def test_t5_scales_a_tied_output_layer_and_no_other(settings, tiny_t5_folder, tmp_path):
    source = saved_by_peft(tiny_t5_folder, tmp_path / "adapter", **settings)
    loaded = load(source)
    want = logits(loaded.model, pairs=True)
    assert loaded.model.config.scale_decoder_outputs
    export(loaded, tmp_path / "merged", merge=True, base=source.base)
    assert torch.allclose(plain(tmp_path / "merged", pairs=True), want, atol=1e-5)
    interpolate_with_base(source, 0.0, tmp_path / "start")
    assert torch.allclose(plain(tmp_path / "start", pairs=True), plain(tiny_t5_folder, pairs=True), atol=1e-5)


def test_a_merge_that_would_write_another_model_writes_nothing(tiny_model_folder, tmp_path, monkeypatch):
    source = saved_by_peft(tiny_model_folder, tmp_path / "adapter", **PLACES["output layer"])
    loaded = load(source)
    monkeypatch.setattr(tied_weights, "untie_targets", lambda _: None)
    for write in (
        lambda to: export(loaded, to, merge=True, base=source.base),
        lambda to: interpolate_with_base(source, 1.0, to),
        lambda to: export(combine([source, source], [1.0, 0.0]), to, merge=True, base=source.base),
    ):
        with pytest.raises(InputError, match="the merged model answers otherwise"):
            write(tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]


def test_a_sum_of_what_is_no_product_of_matrices_is_refused(tiny_model_folder, tmp_path):
    one = saved_by_peft(tiny_model_folder, tmp_path / "a", target_modules=["q_proj"])
    for number, settings in enumerate((PLACES["a whole output layer"], PLACES["some tokens"])):
        other = saved_by_peft(tiny_model_folder, tmp_path / f"b{number}", **settings)
        with pytest.raises(InputError, match="more than a product"):
            combine([one, other], [0.5, 0.5])
    first = saved_by_peft(
        tiny_model_folder, tmp_path / "c", target_modules=["q_proj"], layers_to_transform=[0]
    )
    with pytest.raises(InputError, match=r"otherwise than what it was made from|cannot be added up"):
        combine([first, one], [0.5, 0.5])


def test_settings_under_which_the_bases_tensors_are_another_model_are_no_line(tiny_model_folder, tmp_path):
    source = saved_by_peft(tiny_model_folder, tmp_path / "adapter", target_modules=["q_proj"])
    export(load(source), tmp_path / "tuned", merge=True, base=source.base)
    path = tmp_path / "tuned" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rms_norm_eps": 0.5}))
    with pytest.raises(InputError, match="the base under the settings of the tuned model"):
        interpolate.interpolate(tiny_model_folder, tmp_path / "tuned", 0.5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_rounding_is_no_disagreement_and_a_lost_adapter_is_one(dtype, tiny_model_folder, tmp_path):
    source = saved_by_peft(tiny_model_folder, tmp_path / "adapter", target_modules="all-linear")
    loaded = load(source, dtype=dtype)
    export(loaded, tmp_path / "merged", merge=True, base=source.base)
    rows = logit_agreement.draw_probe_rows(loaded.model, encoder_decoder=False)
    want, lost = rows.logits(loaded.model), load(source.base, dtype=dtype).model
    before = [parameter.clone() for parameter in lost.parameters()]
    epsilon = logit_agreement.weights_epsilon(tmp_path / "merged", dtype)
    if dtype != "bfloat16":  # there the adapter is worth less than 16 roundings
        with pytest.raises(InputError, match="answers otherwise"):
            logit_agreement.require_same_logits(
                want, lost, rows, epsilon=epsilon, subject="it", where="here", fix="none"
            )
    off = logit_agreement.max_difference(
        want, rows.logits(load(resolve(str(tmp_path / "merged")), dtype=dtype).model)
    )
    assert off <= logit_agreement.MAX_UNITS * logit_agreement.max_difference(
        rows.logits(lost), logit_agreement._perturbed_logits(lost, rows, epsilon)
    )
    assert all(torch.equal(a, b) for a, b in zip(before, lost.parameters(), strict=True))
