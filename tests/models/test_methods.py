"""Each method on real folders: begun, saved as peft saves, answered with, merged; and what is frozen stays."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tutelage.core.errors import InputError, MachineError
from tutelage.engine.padded_batch import prefill
from tutelage.models import (
    adapter_off,
    adapters,
    add_adapter,
    export,
    load,
    load_tokenizer,
    logit_agreement,
    merge,
    methods,
    resolve,
    soft_prompts,
)
from tutelage.models.evaluation_mode import evaluation_mode
from tutelage.models.freezing import freeze, train_last

OPTIONS = {
    "lora": {"rank": 4},
    "rslora": {"rank": 4},
    "dora": {"rank": 4},
    "ia3": {},
    "oft": {"block_size": 8},
    "prompt-tuning": {"virtual_tokens": 6},
    "prefix-tuning": {"virtual_tokens": 6},
}
PROMPTS = ("prompt-tuning", "prefix-tuning")


@pytest.fixture(params=["tiny_model_folder", "tiny_t5_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


def logits(model, pairs):
    ids = torch.tensor([[1, 40, 50, 60, 7, 3]])
    more = {"decoder_input_ids": ids} if pairs else {}
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), **more).logits[:, -6:]


def trained(folder, name):
    """As if it had been trained."""
    tuned = add_adapter(load(resolve(str(folder))), name, OPTIONS[name], seed=0)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
    tuned.model.eval()
    return tuned


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_put_on_is_all_that_is_trained_and_comes_from_the_seed(folder, name):
    base = load(resolve(str(folder)))
    want = logits(base.model, base.encoder_decoder)

    def weights(seed):
        torch.manual_seed(seed + 5)
        state = torch.random.get_rng_state()
        tuned = add_adapter(load(resolve(str(folder))), name, OPTIONS[name], seed=seed)
        assert torch.equal(torch.random.get_rng_state(), state)
        fresh = {n: p for n, p in tuned.model.named_parameters() if p.requires_grad}
        if name not in PROMPTS:
            assert torch.allclose(logits(tuned.model, tuned.encoder_decoder), want, atol=2e-6)
        return fresh

    one, again, other = weights(0), weights(0), weights(1)
    marks = {"ia3": "ia3_", "oft": "oft_", **dict.fromkeys(PROMPTS, "prompt_encoder")}
    assert one
    assert all(marks.get(name, "lora_") in key for key in one)
    assert all(torch.equal(one[key], again[key]) for key in one)
    if name not in ("ia3", "oft"):
        assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", OPTIONS)
def test_saved_as_peft_saves_and_merged_to_the_same_logits(folder, tmp_path, name):
    from peft import PeftModel

    tuned = trained(folder, name)
    pairs = tuned.encoder_decoder
    want = logits(tuned.model, pairs)
    with adapter_off(tuned):
        base = logits(tuned.model, pairs)
    assert not torch.allclose(want, base, atol=1e-3)
    export(tuned, tmp_path / "out", merge=False, base=resolve(str(folder)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = PeftModel.from_pretrained(load(resolve(str(folder))).model, tmp_path / "out").eval()
    assert torch.allclose(logits(plain, pairs), want, atol=1e-6)
    again = load(resolve(str(tmp_path / "out")))
    assert again.adapter
    assert torch.allclose(logits(again.model, pairs), want, atol=1e-6)
    if name in PROMPTS:
        with pytest.raises(InputError, match="cannot be merged"):
            merge(tuned)
        return
    merged = merge(tuned)
    assert (logits(merged.model, pairs) - want).abs().max() <= 1e-5 * want.abs().max()
    assert torch.equal(logits(tuned.model, pairs), want)


@pytest.mark.parametrize("name", PROMPTS)
def test_answers_behind_a_prompt_are_those_of_peft_whatever_the_batch(folder, name):
    tuned = trained(folder, name)
    model, pairs = tuned.model, tuned.encoder_decoder
    rows = [[5, 9, 30, 41, 8], [7, 60, 33], [90, 21, 13, 5, 4, 3, 77]]
    together = prefill(model, rows, pad_id=0, encoder_decoder=pairs)
    for number, row in enumerate(rows):
        alone = prefill(model, [row], pad_id=0, encoder_decoder=pairs)
        assert torch.allclose(together.logits[number], alone.logits[0], atol=1e-5)
        ids = torch.tensor([row])
        made, at = [], alone.logits
        for _ in range(5):
            made.append(int(at[0].argmax()))
            at = alone.feed(torch.tensor([[made[-1]]]))[:, -1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, eos_token_id=10**6
            )
        assert got[0, -5:].tolist() == made
    with adapter_off(tuned):
        assert soft_prompts.soft_prompt(model) is None
        off = prefill(model, rows, pad_id=0, encoder_decoder=pairs).logits
    plain = prefill(load(resolve(str(folder))).model, rows, pad_id=0, encoder_decoder=pairs).logits
    assert torch.allclose(off, plain, atol=1e-5)
    assert not torch.allclose(together.logits, plain, atol=1e-3)


@pytest.mark.parametrize("name", PROMPTS)
def test_virtual_tokens_take_their_part_of_the_context(tiny_model_folder, tmp_path, name):
    assert load(resolve(str(tiny_model_folder))).context == 512
    tuned = trained(tiny_model_folder, name)
    assert tuned.context == 506
    tuned.model.save_pretrained(tmp_path / "adapter")
    source = resolve(str(tmp_path / "adapter"))
    assert load_tokenizer(source).context == load(source).context == 506  # with weights and without


def test_rotations_are_rotations(tiny_model_folder):
    tuned = trained(tiny_model_folder, "oft")
    layers = [m for n, m in tuned.model.named_modules() if n.endswith("oft_R.default")]
    assert layers
    for layer in layers:
        turn = layer.get_weight()
        assert torch.allclose(turn @ turn.T, torch.eye(len(turn)), atol=1e-5)
        assert not torch.allclose(turn, torch.eye(len(turn)), atol=1e-2)


def test_what_does_not_fit_the_model_or_the_method_is_refused(tiny_model_folder):
    loaded = load(resolve(str(tiny_model_folder)))
    with pytest.raises(InputError, match="blocks do not divide") as caught:
        add_adapter(loaded, "oft", {"block_size": 6}, seed=0)
    assert caught.value.where == "tune.block_size"
    with pytest.raises(InputError, match="ia3 does not read rank"):
        add_adapter(loaded, "ia3", {"rank": 4}, seed=0)
    with pytest.raises(InputError, match="no such method") as caught:
        add_adapter(loaded, "lore", {}, seed=0)
    assert caught.value.fix == "did you mean lora?"
    with pytest.raises(InputError, match="not in 4 bits"):
        add_adapter(loaded, "qlora", {}, seed=0)
    loaded.model.config.model_type = "unheard-of"
    with pytest.raises(InputError, match=r"which layers of this architecture \(IA\)3 scales"):
        add_adapter(loaded, "ia3", {}, seed=0)


def test_gpt2_has_layers_that_oft_does_not_turn_and_ia3_takes_named_ones():
    from transformers import GPT2Config, GPT2LMHeadModel

    from tutelage.models.load import LoadedModel

    def made():
        model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2))
        return LoadedModel(
            model, None, encoder_decoder=False, name="x", fingerprint="x", chat_template=None, adapter=False
        )

    with pytest.raises(InputError, match="no transposed linear layers"):
        add_adapter(made(), "oft", {"block_size": 4}, seed=0)
    tuned = add_adapter(made(), "ia3", {"targets": ["c_attn", "mlp.c_proj"]}, seed=0)
    sizes = {n.split("h.0.")[1]: p.numel() for n, p in tuned.model.named_parameters() if p.requires_grad}
    assert sizes == {"attn.c_attn.ia3_l.default": 48, "mlp.c_proj.ia3_l.default": 64}


def test_what_a_machine_lacks_is_said_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr(methods, "_has", lambda need: need != "cuda")
    with pytest.raises(MachineError, match="qlora cannot run on this machine") as caught:
        methods.find("qlora").check_machine()
    assert caught.value.found == "torch sees no CUDA device"
    assert "lora" in caught.value.fix
    methods.find("lora").check_machine()


def llama(layers=6, *, tied=False):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "vocab_size": 50}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=layers, tie_word_embeddings=tied))


def step(model):
    ids = torch.arange(2, 42)[None]
    model(input_ids=ids, use_cache=False).logits.logsumexp(-1).sum().backward()


@pytest.mark.parametrize("tied", [False, True])
def test_the_backward_pass_ends_above_what_is_frozen(tied):
    model = llama(tied=tied)
    train_last(model, 1)
    names = {n.removeprefix("model.") for n, p in model.named_parameters() if p.requires_grad}
    assert {n for n in names if not n.startswith("layers.5.")} == (
        {"norm.weight"} if tied else {"norm.weight", "lm_head.weight"}
    )
    assert sum(n.startswith("layers.") for n in names) == 9
    reached, kept = [], []
    for number, layer in enumerate(model.model.layers):
        layer.register_forward_hook(lambda _, __, out, n=number: kept.append((n, out.requires_grad)))
        if number < 5:
            layer.register_full_backward_hook(lambda *_, n=number: reached.append(n))
    step(model)
    assert reached == []
    assert kept == [(n, n == 5) for n in range(6)]
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


def test_frozen_layers_cost_no_backward_work_and_keep_no_activations():
    def cost(model):
        stored = {}

        def pack(tensor):
            stored[tensor.data_ptr()] = tensor.numel()
            return tensor

        own = {p.data_ptr() for p in model.parameters()}
        ids = torch.arange(2, 42)[None]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = model(input_ids=ids, use_cache=False).logits.logsumexp(-1).sum()
        counter = FlopCounterMode(display=False)
        with counter:
            loss.backward()
        return counter.get_total_flops(), sum(n for place, n in stored.items() if place not in own)

    full, last = llama(), llama()
    train_last(last, 1)
    (flops, kept), (fewer, less) = cost(full), cost(last)
    assert fewer < 0.35 * flops, "one layer of six, and the output layer"
    assert less < 0.35 * kept


def test_the_last_layers_of_other_families_are_found_too(tiny_t5_folder):
    from transformers import OPTConfig, OPTForCausalLM

    t5 = load(resolve(str(tiny_t5_folder))).model
    train_last(t5, 1)
    names = {n for n, p in t5.named_parameters() if p.requires_grad}
    assert all(n.startswith(("decoder.block.1.", "decoder.final_layer_norm", "lm_head")) for n in names)
    assert any(n.startswith("decoder.block.1.") for n in names)
    # OPT's final norm stands before the layers in the file, and runs after them.
    sizes = {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 24, "num_attention_heads": 2}
    opt = OPTForCausalLM(OPTConfig(**sizes, num_hidden_layers=3, vocab_size=40))
    train_last(opt, 2)
    names = {n for n, p in opt.named_parameters() if p.requires_grad}
    assert any("final_layer_norm" in n and "layers" not in n for n in names)
    assert not any("embed" in n or "layers.0." in n for n in names)
    with pytest.raises(InputError, match="fewer layers") as caught:
        train_last(opt, 4)
    assert caught.value.expected == "at most 3"


def test_a_model_in_training_mode_is_tried_without_dropout_and_stays_in_it():
    from transformers import OPTConfig, OPTForCausalLM

    sizes = {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 24, "num_attention_heads": 2}
    # In training mode every layer would be left out, and every other number would be zero.
    random = {"layerdrop": 1.0, "dropout": 0.5}
    opt = OPTForCausalLM(OPTConfig(**sizes, **random, num_hidden_layers=3, vocab_size=40)).train()
    train_last(opt, 1)
    rows = logit_agreement.draw_probe_rows(opt, encoder_decoder=False)
    in_training = rows.logits(opt)
    torch.manual_seed(1)
    prefix = adapters._initial_prefix(opt, 4)
    assert opt.training
    assert opt.model.decoder.layers[0].training
    opt.eval()
    assert torch.equal(in_training, rows.logits(opt))
    torch.manual_seed(1)
    assert torch.equal(prefix, adapters._initial_prefix(opt, 4))


def test_an_error_leaves_a_model_in_training_mode_too():
    model = llama(1).train()
    with pytest.raises(IndexError), evaluation_mode(model):
        model(input_ids=torch.tensor([[50]]))  # beyond the vocabulary
    assert model.training
    assert torch.is_grad_enabled()


def test_patterns_freeze_what_they_name_and_must_name_something():
    model = llama(2)
    freeze(model, ["model.embed_tokens.*", "*norm*"])
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert len(frozen) == 6
    assert all("norm" in n or "embed" in n for n in frozen)
    with pytest.raises(InputError, match="no weight's name fits") as caught:
        freeze(model, ["model.embed_token.weight"])
    assert caught.value.fix == "did you mean model.embed_tokens.weight?"
    with pytest.raises(InputError, match="everything would be frozen"):
        freeze(model, ["*"])


def test_the_table_is_whole():
    for method in methods.table().values():
        assert method.title
        assert 0 < method.rate < 1
        assert set(method.cannot) <= {"activation_checkpointing", "packing", "l2_to_base", "merge", "combine"}
        assert dataclasses.replace(method) == method
        if method.kind == "prompt":
            assert {"packing", "merge"} <= set(method.cannot)
