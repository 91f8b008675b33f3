"""Adapters of every kind: those of peft load with peft's own logits, and those whose tensors are not theirs are refused."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tutelage.core.errors import InputError
from tutelage.models import adapter_off, export, load, resolve

IDS = torch.tensor([[1, 40, 50, 60, 7, 3], [5, 9, 30, 41, 8, 2]])
LINEAR = {"r": 4, "target_modules": "all-linear"}
KINDS = {
    "lora": ("LoraConfig", LINEAR),
    "rslora": ("LoraConfig", {**LINEAR, "use_rslora": True}),
    "dora": ("LoraConfig", {**LINEAR, "use_dora": True}),
    "ranks of their own": (
        "LoraConfig",
        {
            "r": 4,
            "target_modules": ["q_proj", "v_proj"],
            "rank_pattern": {"v_proj": 2},
            "alpha_pattern": {"q_proj": 3},
        },
    ),
    "some layers": ("LoraConfig", {"r": 2, "target_modules": ["q_proj"], "layers_to_transform": [1]}),
    "layers twice": (
        "LoraConfig",
        {"r": 2, "target_modules": ["q_proj"], "layer_replication": [[0, 2], [1, 2]]},
    ),
    "embeddings": ("LoraConfig", {"r": 2, "target_modules": ["embed_tokens", "q_proj"]}),
    "output layer": ("LoraConfig", {"r": 2, "target_modules": ["lm_head", "q_proj"]}),
    "whole modules": (
        "LoraConfig",
        {"r": 2, "target_modules": ["q_proj"], "modules_to_save": ["lm_head", "norm"]},
    ),
    "some tokens": ("LoraConfig", {"r": 2, "target_modules": ["q_proj"], "trainable_token_indices": [5, 9]}),
    "ia3": (
        "IA3Config",
        {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    ),
    "oft": ("OFTConfig", {"oft_block_size": 8, "r": 0, "target_modules": "all-linear"}),
    "prompt": ("PromptTuningConfig", {"num_virtual_tokens": 6}),
    "prefix": ("PrefixTuningConfig", {"num_virtual_tokens": 6}),
}
PAIRS = {
    "t5 lora": ("LoraConfig", {"r": 4, "target_modules": ["q", "v"]}),
    "t5 prompt": ("PromptTuningConfig", {"num_virtual_tokens": 6}),
    "t5 prefix": ("PrefixTuningConfig", {"num_virtual_tokens": 6}),
}


def logits(model):
    pairs = {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=torch.ones_like(IDS), **pairs).logits


@pytest.fixture(scope="module")
def adapters(tiny_model_folder, tiny_t5_folder, tmp_path_factory):
    """Each kind as peft saves it after training, with the logits that peft gives it when it loads it again."""
    import peft
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    folder, made = tmp_path_factory.mktemp("adapters"), {}

    def make(name):
        if name in made:
            return made[name]
        pairs = name in PAIRS
        base, kind, task = (
            (tiny_t5_folder, AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM")
            if pairs
            else (tiny_model_folder, AutoModelForCausalLM, "CAUSAL_LM")
        )
        config, options = {**KINDS, **PAIRS}[name]
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            tuned = peft.get_peft_model(
                kind.from_pretrained(base), getattr(peft, config)(task_type=task, **options)
            )
            with torch.no_grad():
                for parameter in tuned.parameters():
                    if parameter.requires_grad:
                        parameter.add_(torch.randn(parameter.shape) * 0.1)
            place = folder / name.replace(" ", "-")
            tuned.save_pretrained(place)
            again = peft.PeftModel.from_pretrained(kind.from_pretrained(base), place).eval()
            made[name] = place, logits(again)
        return made[name]

    return make


@pytest.fixture
def copy(adapters, tmp_path):
    def of(name) -> Path:
        return Path(shutil.copytree(adapters(name)[0], tmp_path / "adapter"))

    return of


def rewrite(folder, change):
    file = folder / "adapter_model.safetensors"
    state = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file(change(state), file, {"format": "pt"})


def settings(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", [*KINDS, *PAIRS])
def test_an_adapter_of_peft_loads_with_the_logits_that_peft_gives_it(name, adapters):
    folder, want = adapters(name)
    state = torch.random.get_rng_state()
    loaded = load(resolve(str(folder)))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(logits(loaded.model), want)
    assert not any(
        parameter.requires_grad for name, parameter in loaded.model.named_parameters() if "lora_" in name
    )


def shorter(tensor):
    return tensor[..., :-1].contiguous() if tensor.shape[-1] > 1 else torch.cat([tensor, tensor], -1)


DAMAGE = {
    "all renamed": lambda state, _: {f"x.{name}": tensor for name, tensor in state.items()},
    "one renamed": lambda state, draw: {
        (f"{name}x" if name == draw else name): tensor for name, tensor in state.items()
    },
    "one missing": lambda state, draw: {name: tensor for name, tensor in state.items() if name != draw},
    "half missing": lambda state, _: (
        dict(list(state.items())[::2]) if len(state) > 1 else {"x": torch.zeros(1)}
    ),
    "one more": lambda state, _: {**state, "base_model.model.model.norm.more": torch.zeros(3)},
    "a weight of the base": lambda state, _: {**state, "base_model.model.model.norm.bias": torch.zeros(32)},
    "another shape": lambda state, draw: {**state, draw: shorter(state[draw])},
    "whole numbers": lambda state, draw: {**state, draw: state[draw].to(torch.int8)},
    "fp8": lambda state, draw: {**state, draw: state[draw].to(torch.float8_e4m3fn)},
    "not a number": lambda state, draw: {**state, draw: state[draw] * float("nan")},
    "infinite": lambda state, draw: {**state, draw: state[draw] + float("inf")},
}


@pytest.mark.parametrize("name", [*KINDS, *PAIRS])
def test_tensors_that_are_not_the_adapters_are_refused_by_name(name, copy):
    folder = copy(name)
    whole = load_file(folder / "adapter_model.safetensors")
    whole = {key: tensor.clone() for key, tensor in whole.items()}
    draw = random.Random(name)
    for damage, spoil in DAMAGE.items():
        one = draw.choice(sorted(key for key in whole if "base_layer" not in key))
        rewrite(folder, lambda _, spoil=spoil, one=one: spoil(whole, one))
        with pytest.raises(InputError) as caught:
            load(resolve(str(folder)))
        assert str(folder / "adapter_model.safetensors") in str(caught.value.where), damage
        assert caught.value.found, damage


def test_the_error_names_what_is_missing_what_is_left_over_and_what_is_expected(copy):
    folder = copy("lora")
    rewrite(folder, lambda state: {name: tensor for name, tensor in state.items() if "lora_A" in name})
    with pytest.raises(InputError, match="not those that its settings make on this base") as caught:
        load(resolve(str(folder)))
    assert caught.value.found.count("lora_B") == 4
    assert caught.value.found.endswith("and 10 more")
    assert caught.value.expected.startswith("28 tensors: base_model.model.model.layers.0.")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"r": 3}, "another shape"),
        ({"target_modules": ["q_proj"]}, "not those that its settings make"),
        ({"use_dora": True}, "not those that its settings make"),
        ({"modules_to_save": ["lm_head"]}, "does not fit|not those"),
        ({"task_type": "SEQ_2_SEQ_LM"}, "another kind of model"),
        ({"task_type": "SEQ_CLS"}, "another kind of model"),
        ({"use_somethingnew": True}, "does not know a setting"),
        ({"init_lora_weights": "pissa_niter_99999999"}, "what its initialisation left"),
        ({"init_lora_weights": "olora"}, "what its initialisation left"),
        ({"alora_invocation_tokens": [1, 40]}, "switched on by certain tokens"),
        ({"r": "x"}, "could not be read|does not fit"),
        ({"target_modules": 7}, "could not be read|does not fit"),
    ],
)
def test_settings_that_make_another_adapter_are_refused(copy, changes, problem):
    folder = copy("lora")
    settings(folder, **changes)
    with pytest.raises(InputError, match=problem):
        load(resolve(str(folder)))


@pytest.mark.parametrize(
    "changes",
    [
        {
            "task_type": None,
            "auto_mapping": {
                "base_model_class": "LlamaForCausalLM",
                "parent_library": "transformers.models.llama.modeling_llama",
            },
        },
        {"revision": "main"},
    ],
    ids=["no task, as peft writes it", "a revision beside a folder"],
)
def test_settings_that_say_nothing_about_the_weights_are_no_reason_to_refuse(copy, adapters, changes):
    folder = copy("lora")
    settings(folder, **changes)
    assert torch.equal(logits(load(resolve(str(folder))).model), adapters("lora")[1])


def test_an_adapter_of_replicated_layers_is_merged_with_its_own_logits(adapters, tiny_model_folder, tmp_path):
    folder, want = adapters("layers twice")
    base = resolve(str(tiny_model_folder))
    export(load(resolve(str(folder))), tmp_path / "out", merge=True, base=base)
    merged = load(resolve(str(tmp_path / "out"))).model
    assert merged.config.num_hidden_layers == 3
    torch.testing.assert_close(logits(merged), want, rtol=0, atol=1e-4)


def test_settings_of_a_later_peft_that_are_off_change_nothing(copy, adapters):
    folder = copy("lora")
    settings(folder, something_new=None, another_new=False)
    assert torch.equal(logits(load(resolve(str(folder))).model), adapters("lora")[1])


def test_an_adapter_of_another_base_is_refused(copy, tiny_t5_folder, tiny_model_folder, tmp_path):
    folder = copy("lora")
    settings(folder, base_model_name_or_path=str(tiny_t5_folder))
    with pytest.raises(InputError, match="another kind of model"):
        load(resolve(str(folder)))
    from transformers import LlamaConfig, LlamaForCausalLM

    wide = Path(shutil.copytree(tiny_model_folder, tmp_path / "wide"))
    config = LlamaConfig.from_pretrained(wide)
    config.hidden_size, config.head_dim = 48, 12
    LlamaForCausalLM(config).save_pretrained(wide)
    settings(folder, base_model_name_or_path=str(wide))
    with pytest.raises(InputError, match="another shape"):
        load(resolve(str(folder)))


def test_embeddings_that_peft_saves_beside_an_adapter_must_be_the_bases(copy, adapters, tiny_model_folder):
    folder = copy("lora")
    own = load_file(tiny_model_folder / "model.safetensors")["model.embed_tokens.weight"].clone()
    key = "base_model.model.model.embed_tokens.weight"
    rewrite(folder, lambda state: {**state, key: own})
    assert torch.equal(logits(load(resolve(str(folder))).model), adapters("lora")[1])
    rewrite(folder, lambda state: {**state, key: own + 1})
    with pytest.raises(InputError, match="other embeddings than its base"):
        load(resolve(str(folder)))
    rewrite(folder, lambda state: {**state, key: torch.cat([own, own[:2]])})
    with pytest.raises(InputError, match="another number of tokens"):
        load(resolve(str(folder)))


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was read",))


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ({"a": "x.safetensors"}, "in pieces"),
        ({"a": "adapter_model.safetensors"}, "files of weights are missing"),
        ({"a": "adapter_model.bin"}, "in pieces"),
        ({}, "names no files"),
        (None, "pickled"),
    ],
)
def test_no_pickle_is_read_whatever_an_index_says(copy, index, problem):
    folder = copy("lora")
    (folder / "adapter_model.safetensors").rename(folder / "x.safetensors")
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Trap()))
    if index is not None:
        (folder / "adapter_model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(InputError, match=problem):
        load(resolve(str(folder)))


def test_what_is_in_the_fingerprint_is_what_is_read(copy, adapters):
    """An index beside the one file may name that file only."""
    from tutelage.models import fingerprint

    folder = copy("lora")
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Trap()))
    index = folder / "adapter_model.safetensors.index.json"
    index.write_text(
        json.dumps(
            {
                "weight_map": dict.fromkeys(
                    load_file(folder / "adapter_model.safetensors"), "adapter_model.safetensors"
                )
            }
        )
    )
    before = fingerprint(resolve(str(folder)))
    assert torch.equal(logits(load(resolve(str(folder))).model), adapters("lora")[1])
    rewrite(folder, lambda state: {name: tensor * 2 for name, tensor in state.items()})
    assert fingerprint(resolve(str(folder))) != before
    index.write_text(json.dumps({"weight_map": {"a": "other.safetensors"}}))
    shutil.copy(folder / "adapter_model.safetensors", folder / "other.safetensors")
    with pytest.raises(InputError, match="names other files"):
        load(resolve(str(folder)))


def test_switched_off_an_adapter_that_changed_biases_is_not_the_base(copy, adapters):
    loaded = load(resolve(str(adapters("lora")[0])))
    loaded.model.active_peft_config.bias = "all"
    with pytest.raises(InputError, match="does not give the base"), adapter_off(loaded):
        pass
