"""Targets by what layers do: the exact layers of many families, and what is not clear is refused."""

from __future__ import annotations

from typing import Any

import pytest
import transformers as tf

from tiny_configs import BART, IDS, LLAMA, SHAPE, T5
from tutelage.core.errors import InputError
from tutelage.models import add_adapter, export, load, resolve
from tutelage.models.load import LoadedModel

GPT2 = {**IDS, "n_embd": 16, "n_layer": 2, "n_head": 2}
NEO_ATTENTION = [[["global", "local"], 1]]
GEMMA = {**LLAMA, "head_dim": 8}
CONFIGS = {
    "llama": lambda: tf.LlamaConfig(**LLAMA),
    "gemma3": lambda: tf.Gemma3TextConfig(**GEMMA),
    "phi3": lambda: tf.Phi3Config(**LLAMA),
    "gpt2": lambda: tf.GPT2Config(**GPT2),
    "gpt-neo": lambda: tf.GPTNeoConfig(
        **IDS, hidden_size=16, num_layers=2, num_heads=2, attention_types=NEO_ATTENTION
    ),
    "gpt-neox": lambda: tf.GPTNeoXConfig(**SHAPE, intermediate_size=24),
    "opt": lambda: tf.OPTConfig(**SHAPE, ffn_dim=24, word_embed_proj_dim=8),
    "bloom": lambda: tf.BloomConfig(**IDS, hidden_size=16, n_layer=2, n_head=2),
    "falcon": lambda: tf.FalconConfig(**SHAPE),
    "mpt": lambda: tf.MptConfig(**IDS, d_model=16, n_layers=2, n_heads=2),
    "ctrl": lambda: tf.CTRLConfig(vocab_size=40, n_embd=16, dff=24, n_layer=3, n_head=2),
    "qwen2-moe": lambda: tf.Qwen2MoeConfig(
        **LLAMA, num_experts=2, moe_intermediate_size=8, shared_expert_intermediate_size=8
    ),
    "recurrent-gemma": lambda: tf.RecurrentGemmaConfig(**{**LLAMA, "num_hidden_layers": 3}, lru_width=16),
    "t5": lambda: tf.T5Config(**T5),
    "t5-v1.1": lambda: tf.T5Config(**T5, feed_forward_proj="gated-gelu"),
    "switch": lambda: tf.SwitchTransformersConfig(
        **T5, num_experts=2, num_sparse_encoder_layers=1, num_decoder_layers=2, num_sparse_decoder_layers=1
    ),
    "bart": lambda: tf.BartConfig(**BART),
    "led": lambda: tf.LEDConfig(**BART, attention_window=4),
    "t5gemma": lambda: tf.T5GemmaConfig(
        encoder=tf.T5GemmaModuleConfig(**GEMMA),
        decoder=tf.T5GemmaModuleConfig(**{**GEMMA, "hidden_size": 32, "cross_attention_hidden_size": 16}),
    ),
    "mixtral": lambda: tf.MixtralConfig(**LLAMA, num_local_experts=2),
    "mamba": lambda: tf.MambaConfig(**IDS, hidden_size=16, num_hidden_layers=2, state_size=4),
    "lfm2": lambda: tf.Lfm2Config(
        **{**LLAMA, "intermediate_size": 16},
        layer_types=["full_attention"] * 2,
        block_auto_adjust_ff_dim=False,
    ),
}


def made(family: str) -> LoadedModel:
    config = CONFIGS[family]()
    paired = config.is_encoder_decoder
    model = (tf.AutoModelForSeq2SeqLM if paired else tf.AutoModelForCausalLM).from_config(config)
    return LoadedModel(model, None, paired, "x", "x", None, adapter=False)


def adapted(loaded: LoadedModel, targets: str, method: str = "lora", **options: Any) -> set[str]:
    """The layers that get an adapter, without the model's prefix."""
    tuned = add_adapter(loaded, method, {"targets": targets, **options}, seed=0).model
    names = [name for name, p in tuned.named_parameters() if p.requires_grad]
    return {name.partition("base_model.model.")[2].rsplit(".", 3)[0] for name in names if "lora_A" in name}


def of_blocks(*pattern_and_names: tuple[str, str], blocks: int = 2) -> set[str]:
    """Full names from pairs of a block with {} for its number and the names in it."""
    return {
        f"{pattern.format(number)}.{name}"
        for pattern, names in pattern_and_names
        for number in range(blocks)
        for name in names.split()
    }


QKV = "q_proj k_proj v_proj"
SELF = " ".join(f"self_attn.{name}" for name in (*QKV.split(), "o_proj"))
BART_SELF = " ".join(f"self_attn.{name}" for name in (*QKV.split(), "out_proj"))
BART_CROSS = BART_SELF.replace("self_attn", "encoder_attn")
T5_ENCODER, T5_DECODER = "encoder.block.{}.layer", "decoder.block.{}.layer"
T5_SELF = "0.SelfAttention.q 0.SelfAttention.k 0.SelfAttention.v 0.SelfAttention.o"
T5_CROSS = T5_SELF.replace("0.SelfAttention", "1.EncDecAttention")
LAYER, H = "model.layers.{}", "transformer.h.{}"
CASES = {
    "llama": (
        [(LAYER, SELF)],
        [(LAYER, "mlp.gate_proj mlp.up_proj")],
        [(LAYER, "mlp.down_proj")],
    ),
    "gemma3": ([(LAYER, SELF)], [(LAYER, "mlp.gate_proj mlp.up_proj")], [(LAYER, "mlp.down_proj")]),
    "phi3": (
        [(LAYER, "self_attn.qkv_proj self_attn.o_proj")],
        [(LAYER, "mlp.gate_up_proj")],
        [(LAYER, "mlp.down_proj")],
    ),
    "gpt2": ([(H, "attn.c_attn attn.c_proj")], [(H, "mlp.c_fc")], [(H, "mlp.c_proj")]),
    "gpt-neo": (
        [(f"{H}.attn.attention", f"{QKV} out_proj")],
        [(H, "mlp.c_fc")],
        [(H, "mlp.c_proj")],
    ),
    "gpt-neox": (
        [("gpt_neox.layers.{}.attention", "query_key_value dense")],
        [("gpt_neox.layers.{}", "mlp.dense_h_to_4h")],
        [("gpt_neox.layers.{}", "mlp.dense_4h_to_h")],
    ),
    "opt": (
        [("model.decoder.layers.{}", BART_SELF)],
        [("model.decoder.layers.{}", "fc1")],
        [("model.decoder.layers.{}", "fc2")],
    ),
    "bloom": (
        [(f"{H}.self_attention", "query_key_value dense")],
        [(H, "mlp.dense_h_to_4h")],
        [(H, "mlp.dense_4h_to_h")],
    ),
    "falcon": (
        [(f"{H}.self_attention", "query_key_value dense")],
        [(H, "mlp.dense_h_to_4h")],
        [(H, "mlp.dense_4h_to_h")],
    ),
    "mpt": (
        [("transformer.blocks.{}.attn", "Wqkv out_proj")],
        [("transformer.blocks.{}", "ffn.up_proj")],
        [("transformer.blocks.{}", "ffn.down_proj")],
    ),
    "qwen2-moe": (  # all experts but the shared one are one tensor; what chooses experts is no part of the MLP
        [(LAYER, SELF)],
        [(f"{LAYER}.mlp.shared_expert", "gate_proj up_proj")],
        [(f"{LAYER}.mlp.shared_expert", "down_proj")],
    ),
    "t5": (
        [(T5_ENCODER, T5_SELF), (T5_DECODER, f"{T5_SELF} {T5_CROSS}")],
        [(T5_ENCODER, "1.DenseReluDense.wi"), (T5_DECODER, "2.DenseReluDense.wi")],
        [(T5_ENCODER, "1.DenseReluDense.wo"), (T5_DECODER, "2.DenseReluDense.wo")],
    ),
    "t5-v1.1": (
        [(T5_ENCODER, T5_SELF), (T5_DECODER, f"{T5_SELF} {T5_CROSS}")],
        [
            (f"{T5_ENCODER}.1.DenseReluDense", "wi_0 wi_1"),
            (f"{T5_DECODER}.2.DenseReluDense", "wi_0 wi_1"),
        ],
        [(T5_ENCODER, "1.DenseReluDense.wo"), (T5_DECODER, "2.DenseReluDense.wo")],
    ),
    "bart": (
        [("model.encoder.layers.{}", BART_SELF), ("model.decoder.layers.{}", f"{BART_SELF} {BART_CROSS}")],
        [("model.encoder.layers.{}", "fc1"), ("model.decoder.layers.{}", "fc1")],
        [("model.encoder.layers.{}", "fc2"), ("model.decoder.layers.{}", "fc2")],
    ),
    "t5gemma": (  # encoder and decoder of different widths
        [
            ("model.encoder.layers.{}", SELF),
            ("model.decoder.layers.{}", f"{SELF} {SELF.replace('self_', 'cross_')}"),
        ],
        [(f"model.{side}.layers.{{}}.mlp", "gate_proj up_proj") for side in ("encoder", "decoder")],
        [(f"model.{side}.layers.{{}}.mlp", "down_proj") for side in ("encoder", "decoder")],
    ),
}


@pytest.mark.parametrize("family", CASES)
def test_each_set_has_exactly_its_layers(family):
    attention, gate_up, down = (of_blocks(*pairs) for pairs in CASES[family])
    assert adapted(made(family), "attention") == attention
    assert adapted(made(family), "gate-up") == gate_up
    assert adapted(made(family), "mlp") == gate_up | down


def test_experts_that_are_linear_layers_belong_to_the_mlp_and_their_router_does_not():
    found = adapted(made("switch"), "mlp")
    dense = of_blocks(("encoder.block.0.layer.1.mlp", "wi wo"), ("decoder.block.0.layer.2.mlp", "wi wo"))
    experts = of_blocks(
        ("encoder.block.1.layer.1.mlp.experts.expert_{}", "wi wo"),
        ("decoder.block.1.layer.2.mlp.experts.expert_{}", "wi wo"),
    )
    assert found == dense | experts
    assert adapted(made("switch"), "gate-up") == {name for name in found if name.endswith("wi")}


def test_a_name_that_ends_in_a_number_takes_no_whole_block():
    assert adapted(made("ctrl"), "mlp") == of_blocks(("transformer.h.{}.ffn", "0 2"), blocks=3)


def test_recurrent_layers_are_neither_attention_nor_mlp():
    assert adapted(made("recurrent-gemma"), "attention") == of_blocks(
        ("model.layers.2.temporal_block", f"{QKV} o_proj")
    )
    assert adapted(made("recurrent-gemma"), "gate-up") == of_blocks(
        ("model.layers.{}.mlp_block", "gate_proj up_proj"), blocks=3
    )


def test_all_of_longformers_projections_are_attention():
    found = adapted(made("led"), "attention")
    inner = "query key value query_global key_global value_global"
    encoder = of_blocks(
        ("led.encoder.layers.{}.self_attn.longformer_self_attn", inner),
        ("led.encoder.layers.{}.self_attn", "output"),
    )
    assert {name for name in found if "encoder.layers" in name} == encoder
    assert not any("fc" in name for name in found)


@pytest.mark.parametrize(
    ("family", "targets", "problem"),
    [
        ("mixtral", "mlp", "no linear layers of mlp"),
        ("mixtral", "gate-up", "no linear layers of gate-up"),
        ("mamba", "attention", "no linear layers of attention"),
        ("mamba", "mlp", "no linear layers of mlp"),
        ("lfm2", "gate-up", "do not tell which are its MLP"),
    ],
)
def test_a_set_that_a_model_does_not_have_or_that_is_not_clear_is_refused(family, targets, problem):
    with pytest.raises(InputError, match=problem) as caught:
        adapted(made(family), targets)
    error = caught.value
    assert error.where == "tune.targets"
    assert error.found
    assert error.expected
    assert "all-linear" in error.fix


def test_ia3_scales_what_enters_the_down_projection_and_what_leaves_the_other_layers():
    def sizes(targets):
        model = add_adapter(made("gpt2"), "ia3", {"targets": targets}, seed=0).model
        names = {n.split("h.0.")[-1]: p.numel() for n, p in model.named_parameters() if p.requires_grad}
        return {
            name.removesuffix(".ia3_l.default"): size for name, size in names.items() if "h.1" not in name
        }

    assert sizes("attention") == {"attn.c_attn": 48, "attn.c_proj": 16}
    assert sizes("mlp") == {"mlp.c_fc": 64, "mlp.c_proj": 64}
    assert sizes("gate-up") == {"mlp.c_fc": 64}
    for targets, down in (("attention", set()), ("mlp", {"mlp.c_proj"}), ("gate-up", set())):
        model = add_adapter(made("gpt2"), "ia3", {"targets": targets}, seed=0).model
        assert set(model.active_peft_config.feedforward_modules) == down


def test_oft_turns_the_layers_of_a_set():
    tuned = add_adapter(made("llama"), "oft", {"targets": "gate-up", "block_size": 8}, seed=0).model
    names = {
        n.partition("layers.")[2].split(".oft")[0] for n, p in tuned.named_parameters() if p.requires_grad
    }
    assert names == {f"{number}.mlp.{name}" for number in range(2) for name in ("gate_proj", "up_proj")}


@pytest.mark.parametrize("folder", ["tiny_model_folder", "tiny_t5_folder"])
@pytest.mark.parametrize("targets", ["attention", "mlp", "gate-up"])
def test_an_adapter_on_a_set_is_written_and_read_again(folder, targets, request, tmp_path):
    source = resolve(str(request.getfixturevalue(folder)))
    tuned = add_adapter(load(source), "lora", {"rank": 2, "targets": targets}, seed=0)
    export(tuned, tmp_path / "tuned", merge=False, base=source)
    again = load(resolve(str(tmp_path / "tuned")))
    names = {name for name, _ in tuned.model.named_parameters() if "lora_" in name}
    assert names == {name for name, _ in again.model.named_parameters() if "lora_" in name}
