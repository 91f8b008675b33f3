"""Models that padded batches or a cache would change answer one request at a time, and give what full passes give."""

from __future__ import annotations

import pytest
import torch
import transformers as tf
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model

from tutelage.core.errors import InputError
from tutelage.core.types import Request
from tutelage.engine import Engine
from tutelage.engine.capabilities import Batching
from tutelage.models.library_calls import quiet
from tutelage.models.smoke_test import require_causal

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
HEADS = {**SHAPE, "intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 256}
SIDES = {
    f"{side}_{name}": size
    for side in ("encoder", "decoder")
    for name, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))
}
# The most that a model takes. A window or a recurrent layer would encoded padding; RoBERTa counts positions from the
# ids that it is given, and RWKV and Mamba keep their state under other names.
FAMILIES = {
    "rwkv": (
        Batching.UNCACHED,
        lambda ids: tf.RwkvConfig(**ids, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32),
    ),
    "mamba": (
        Batching.UNCACHED,
        lambda ids: tf.MambaConfig(**ids, hidden_size=32, num_hidden_layers=2, state_size=8),
    ),
    "roberta": (
        Batching.UNCACHED,
        lambda ids: tf.RobertaConfig(
            **ids, **SHAPE, intermediate_size=64, max_position_embeddings=256, is_decoder=True
        ),
    ),
    "lfm2": (
        Batching.SINGLE,
        lambda ids: tf.Lfm2Config(**ids, **HEADS, layer_types=["conv", "full_attention"]),
    ),
    "falcon_h1": (
        Batching.SINGLE,
        lambda ids: tf.FalconH1Config(
            **ids, **HEADS, head_dim=8, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=8
        ),
    ),
    "fsmt": (
        Batching.SINGLE,
        lambda ids: tf.FSMTConfig(
            **{name: value for name, value in ids.items() if name != "vocab_size"},
            **SIDES,
            langs=["en", "de"],
            src_vocab_size=ids["vocab_size"],
            tgt_vocab_size=ids["vocab_size"],
            d_model=32,
            max_position_embeddings=256,
            decoder_start_token_id=2,
        ),
    ),
    "marian": (
        Batching.PADDED,
        lambda ids: tf.MarianConfig(
            **ids, **SIDES, d_model=32, max_position_embeddings=256, decoder_start_token_id=0
        ),
    ),
}


def make_model(config):
    kind = tf.AutoModelForSeq2SeqLM if config.is_encoder_decoder else tf.AutoModelForCausalLM
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(1)
        model = kind.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
    return model


def ids_of(tokenizer):
    return {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def requests():
    texts = ["a", "What is the price of small plans", "Hello, yes 12 euros " * 3]
    choices = ("yes", "no, true", "12 euros a month")
    chosen = [Request(f"c{n}", "choose", text, choices=choices) for n, text in enumerate(texts)]
    limits = (3, 8, 5)
    return chosen + [
        Request(f"g{n}", "generate", text, max_new_tokens=limits[n]) for n, text in enumerate(texts)
    ]


def assert_as_full_passes(engine: Engine, items: list[Request]) -> None:
    """Every log-probability within rounding, every text the same."""
    responses = {response.id: response for response in engine.answer(items)}
    with torch.inference_mode():
        for encoded in engine.request_encoder.encode(items):
            response = responses[encoded.request.id]
            if encoded.request.kind == "choose":
                whole = [
                    engine.full_pass.log_probability(encoded.prompt, choice) for choice in encoded.choices
                ]
                assert response.logprobs == pytest.approx(whole, abs=5e-5)
                continue
            answer: list[int] = []
            while len(answer) < encoded.request.max_new_tokens:
                token = int(engine.full_pass.logits(encoded.prompt, answer)[-1].argmax())
                if token in engine.stop_ids:
                    break
                answer.append(token)
            assert response.text == engine.text_of(answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_what_full_passes_give(tiny_model, family):
    tokenizer = tiny_model("llama").tokenizer
    batching, config = FAMILIES[family]
    model = make_model(config(ids_of(tokenizer)))
    engine = Engine(model, tokenizer, encoder_decoder=bool(model.config.is_encoder_decoder))
    assert engine.capabilities.batching is batching
    # FSMT answers with its padding token here, which a whole pass would mask: only choices can be compared.
    assert_as_full_passes(
        engine, [request for request in requests() if family != "fsmt" or request.kind == "choose"]
    )


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
@pytest.mark.parametrize("family", ["mistral", "gemma2"])
def test_padding_does_not_use_up_a_window_behind_virtual_tokens(tiny_model, family, kind):
    base = make_model(tiny_model(family).model.config)
    maker = PromptTuningConfig if kind == "prompt" else PrefixTuningConfig
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(2)
        model = get_peft_model(base, maker(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=4))
        for parameter in model.prompt_encoder.parameters():
            torch.nn.init.normal_(parameter, 0, 0.5)
    engine = Engine(model.eval(), tiny_model(family).tokenizer, encoder_decoder=False)
    assert engine.capabilities.batching is not Batching.PADDED
    assert_as_full_passes(engine, requests())


def test_a_model_that_reads_what_comes_after_is_refused(tiny_model):
    config = tf.RobertaConfig(
        **ids_of(tiny_model("llama").tokenizer), **SHAPE, intermediate_size=64, max_position_embeddings=256
    )
    with pytest.raises(InputError, match="not a causal language model") as caught:
        require_causal(make_model(config), where="models/roberta")
    assert caught.value.where == "models/roberta"
    require_causal(tiny_model("llama").model, where="")
    require_causal(tiny_model("bart").model, where="")


def test_a_conversation_that_is_left_leaves_no_inference_mode_behind(tiny_model):
    pieces = tiny_model("llama").engine().stream([{"role": "user", "content": "Hello"}], max_new_tokens=20)
    next(pieces)
    assert not torch.is_inference_mode_enabled()
    weight = torch.nn.Parameter(torch.ones(2))
    (weight * 2).sum().backward()
    pieces.close()
