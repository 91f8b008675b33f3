from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.models import adapter_off, add_adapter, load, merge, resolve, target_names

SETTINGS = {"rank": 4, "alpha": 8, "dropout": 0.0}


@pytest.fixture(params=["tiny_model_folder", "tiny_t5_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


def logits(loaded):
    import torch

    ids = torch.tensor([[1, 40, 50, 60, 7, 3]])
    inputs = {"input_ids": ids, **({"decoder_input_ids": ids} if loaded.encoder_decoder else {})}
    with torch.no_grad():
        return loaded.model(**inputs).logits


def trained(loaded):
    """As if it had been trained: the second factor, which begins at zero, gets values."""
    import torch

    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return loaded


def test_a_fresh_adapter_changes_nothing_and_is_all_that_can_be_trained(folder):
    import torch

    loaded = load(resolve(str(folder)))
    before = logits(loaded)
    tuned = add_adapter(loaded, "lora", SETTINGS, seed=0)
    assert tuned.adapter
    assert torch.equal(logits(tuned), before)
    can = [name for name, p in tuned.model.named_parameters() if p.requires_grad]
    assert can
    assert all("lora_" in name for name in can)
    assert not any("lm_head" in name for name in can)


def test_the_factors_come_from_the_seed_alone(tiny_model_folder):
    import torch

    def factors(seed, noise):
        torch.manual_seed(noise)
        state = torch.random.get_rng_state()
        tuned = add_adapter(load(resolve(str(tiny_model_folder))), "lora", SETTINGS, seed=seed)
        assert torch.equal(torch.random.get_rng_state(), state)
        return torch.cat([p.flatten() for n, p in tuned.model.named_parameters() if "lora_A" in n])

    assert torch.equal(factors(1, noise=5), factors(1, noise=6))
    assert not torch.equal(factors(1, noise=5), factors(2, noise=5))


def test_switched_off_the_base_answers_bit_for_bit(folder):
    import torch

    loaded = load(resolve(str(folder)))
    base = logits(loaded)
    tuned = trained(add_adapter(loaded, "lora", SETTINGS, seed=0))
    assert not torch.allclose(logits(tuned), base, atol=1e-2)
    with adapter_off(tuned):
        assert torch.equal(logits(tuned), base)
    assert not torch.allclose(logits(tuned), base, atol=1e-2)


def test_merged_is_the_same_model_and_leaves_the_other_as_it_was(folder):
    import torch

    tuned = trained(add_adapter(load(resolve(str(folder))), "lora", SETTINGS, seed=0))
    want = logits(tuned)
    with adapter_off(tuned):
        base = logits(tuned)
    plain = merge(tuned)
    assert not plain.adapter
    assert not any("lora" in name for name, _ in plain.model.named_parameters())
    assert torch.allclose(logits(plain), want, atol=1e-4)
    assert torch.equal(logits(tuned), want)
    with adapter_off(tuned):
        assert torch.equal(logits(tuned), base)
    # Input and output embeddings stay one tensor where they were one.
    tied = plain.model.config.tie_word_embeddings
    same = plain.model.get_input_embeddings().weight is plain.model.get_output_embeddings().weight
    assert same == tied


def test_named_targets_are_the_only_ones(tiny_model_folder):
    loaded = load(resolve(str(tiny_model_folder)))
    assert target_names(loaded.model) == [
        "down_proj",
        "gate_proj",
        "k_proj",
        "lm_head",
        "o_proj",
        "q_proj",
        "up_proj",
        "v_proj",
    ]
    tuned = add_adapter(loaded, "lora", {**SETTINGS, "targets": ["q_proj", "layers.1.mlp.up_proj"]}, seed=0)
    adapted = [n.split(".lora_A")[0] for n, _ in tuned.model.named_parameters() if "lora_A" in n]
    assert [name.split("layers.")[1] for name in adapted] == [
        "0.self_attn.q_proj",
        "1.self_attn.q_proj",
        "1.mlp.up_proj",
    ]


def test_a_target_that_matches_nothing_is_refused_although_others_match(tiny_model_folder):
    loaded = load(resolve(str(tiny_model_folder)))
    with pytest.raises(InputError, match="no linear layer") as caught:
        add_adapter(loaded, "lora", {**SETTINGS, "targets": ["q_proj", "v_prj"]}, seed=0)
    assert caught.value.found == "v_prj"
    assert caught.value.fix == "did you mean v_proj?"


def test_a_model_without_adapter_has_none_to_switch_off(tiny_model_folder):
    loaded = load(resolve(str(tiny_model_folder)))
    with pytest.raises(InputError, match="no adapter"), adapter_off(loaded):
        pytest.fail("switched off")
    assert merge(loaded) is loaded
