"""Decode batches behind shared prefixes: which models take them, and that each row generates what it generates alone."""

from __future__ import annotations

import copy
import random

import peft
import pytest
import torch
from transformers import DynamicCache

from tutelage.core.types import Request
from tutelage.engine import BatchLimits
from tutelage.engine.capabilities import takes_decode_batches
from tutelage.engine.decode_batch import DecodeBatch
from tutelage.engine.sequential import FullPass
from tutelage.engine.shared_prefix import added_keys_values, continuation

OLD_NAME = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
"""peft asks transformers for it."""
PREFIXES = [
    "the price of small plans is 12 euros a month " * 3,
    "What is the capital of France? Paris " * 3,
    "",
]
WORDS = ["yes", "no", "Paris", "a", "12", "euros", "the price", "plans", "What is"]


def draw_requests(draw, count=24):
    """Texts of different prefixes and lengths, each with its own limit."""
    return [
        Request(
            str(n),
            "generate",
            PREFIXES[n % 3] + " ".join(draw.choices(WORDS, k=draw.randint(1, 14))),
            max_new_tokens=draw.choice([1, 2, 7, 30]),
            form=draw.choice(["text", "chat"]),
        )
        for n in range(count)
    ]


def test_these_families_take_decode_batches(tiny_model):
    families = ("llama", "gpt2", "neox", "opt", "bloom", "gemma2", "gemma3", "mistral")
    assert [family for family in families if tiny_model(family).engine().capabilities.decode_batch] == [
        "llama",
        "gpt2",
        "neox",
        "opt",
    ]
    assert not takes_decode_batches(tiny_model("bloom").engine().full_pass)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "opt"])
@pytest.mark.parametrize("rows", [1, 3, 32])
def test_each_row_generates_what_transformers_generates_alone(tiny_model, generated, family, rows):
    tiny = tiny_model(family)
    engine = tiny.engine(BatchLimits(rows=rows))
    requests = draw_requests(random.Random(rows))
    ends = tuple(engine.stop_ids)
    for answer, request in zip(engine.answer(requests), requests, strict=True):
        (encoded,) = engine.request_encoder.encode([request])
        want = generated(tiny, encoded.prompt, request.max_new_tokens, ends=ends)
        assert answer.text == tiny.tokenizer.decode(want, skip_special_tokens=True)


def test_finished_rows_leave_at_once_and_others_take_their_places(tiny_model, monkeypatch):
    engine = tiny_model("llama").engine(BatchLimits(rows=8))
    assert engine.capabilities.decode_batch  # it is tried original what goes through the model is counted
    monkeypatch.setattr(engine, "stop_ids", frozenset())  # every answer has the length that is asked for
    lengths = [2, 40, 3, 2, 5, 2, 30, 2, 4, 2, 2, 3] * 3
    requests = [
        Request(str(n), "generate", f"Paris {n} " * (1 + n % 5), max_new_tokens=most)
        for n, most in enumerate(lengths)
    ]
    sizes = []
    original = DecodeBatch.feed

    def feed(self, tokens):
        sizes.append(len(tokens))
        return original(self, tokens)

    monkeypatch.setattr(DecodeBatch, "feed", feed)
    listened = []
    answers = engine.answer(requests, on_done=lambda batch: listened.extend(r.id for r in batch))
    assert [answer.tokens for answer in answers] == lengths
    assert sorted(listened) == sorted(r.id for r in requests)
    assert max(sizes) <= 8
    assert sum(sizes) == sum(most - 1 for most in lengths)  # no row is fed after its end
    assert len(sizes) < 0.6 * sum(max(lengths[start : start + 8]) for start in range(0, len(lengths), 8))


@pytest.mark.parametrize("cache_bytes", [1 << 30, 120_000])
def test_the_caches_keep_to_their_bytes(tiny_model, monkeypatch, cache_bytes):
    engine = tiny_model("llama").engine(BatchLimits(rows=8, cache_bytes=cache_bytes))
    monkeypatch.setattr(engine, "stop_ids", frozenset())
    requests = draw_requests(random.Random(1), count=60)
    # One may say much more than all others: room as wide as its answer may not be made for as many rows as there can be.
    requests.append(Request("long", "generate", "Hello", max_new_tokens=150))
    most = []
    original = DecodeBatch.feed

    def feed(self, tokens):
        most.append(len(self))
        assert stored(self) <= cache_bytes or len(self) == 1  # one alone may need more
        return original(self, tokens)

    monkeypatch.setattr(DecodeBatch, "feed", feed)
    answers = engine.answer(requests)
    assert max(most) == 8 if cache_bytes > 120_000 else 1 < max(most) < 8
    monkeypatch.setattr(DecodeBatch, "feed", original)
    other = tiny_model("llama").engine()
    monkeypatch.setattr(other, "stop_ids", frozenset())
    assert answers == other.answer(requests)


def stored(batch: DecodeBatch) -> int:
    """Bytes of all caches, whether in use or not: of storages, not of the views into them."""
    tensors = [t for pair in batch._layers for t in pair]
    tensors += [
        t
        for prefix in batch.prefixes()
        if prefix.length
        for layer in prefix.cache.layers
        for t in (layer.keys, layer.values)
    ]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def test_a_row_that_needs_more_than_the_limit_is_answered_alone(tiny_model, monkeypatch):
    engine = tiny_model("llama").engine(BatchLimits(rows=8, cache_bytes=1))
    assert engine.capabilities.decode_batch
    requests = draw_requests(random.Random(2), count=10)
    want = tiny_model("llama").engine().answer(requests)
    sizes = []
    original = DecodeBatch.feed
    monkeypatch.setattr(
        DecodeBatch, "feed", lambda self, tokens: (sizes.append(len(self)), original(self, tokens))[1]
    )
    assert engine.answer(requests) == want
    assert set(sizes) == {1}


def test_a_continuation_leaves_the_prefix_as_it_was(tiny_model):
    tiny = tiny_model("llama")
    model = tiny.model
    with torch.inference_mode():
        cache = DynamicCache(config=model.config)
        model(input_ids=torch.tensor([[5, 6, 7, 8]]), past_key_values=cache, use_cache=True)
        original = [(layer.keys, layer.values) for layer in cache.layers]
        made = continuation(cache)
        model(input_ids=torch.tensor([[9, 10]]), past_key_values=made, use_cache=True)
        assert all(
            layer.keys is keys and layer.values is values
            for layer, (keys, values) in zip(cache.layers, original, strict=True)
        )
        assert {keys.shape[2] for pair in added_keys_values(made) for keys in pair} == {2}


def test_the_prefix_is_read_once_and_never_copied(tiny_model, monkeypatch):
    tiny = tiny_model("llama")
    engine = tiny.engine()
    requests = [
        Request(str(n), "generate", PREFIXES[0] * 2 + f"{n}?", max_new_tokens=6, form="text")
        for n in range(12)
    ]
    shared = len(next(iter(engine.request_encoder.encode(requests))).prompt) - 8
    counts = []
    original = tiny.model.forward

    def forward(*args, **named):
        counts.append(named["input_ids"].numel())
        return original(*args, **named)

    monkeypatch.setattr(tiny.model, "forward", forward)
    rows = []
    real_room = DecodeBatch._reserve
    monkeypatch.setattr(
        DecodeBatch,
        "_reserve",
        lambda self, *given: (real_room(self, *given), rows.append(self._capacity[1]))[0],
    )
    engine.answer(requests)
    assert sum(counts) < 2 * shared + 12 * (8 + 6)
    assert max(rows) <= 64 < shared  # a row has room for its own tokens only


def test_stop_strings_end_a_row_wherever_they_come(tiny_model):
    tiny = tiny_model("llama")
    engine = tiny.engine()
    plain = engine.answer(draw_requests(random.Random(4), count=12))
    for answer, request in zip(plain, draw_requests(random.Random(4), count=12), strict=True):
        if len(answer.text) < 3:
            continue
        stop = answer.text[len(answer.text) // 2 :][:2]
        (cut,) = engine.answer(
            [
                Request(
                    "x",
                    "generate",
                    request.prompt,
                    max_new_tokens=request.max_new_tokens,
                    stop=(stop,),
                    form=request.form,
                )
            ]
        )
        assert cut.text == answer.text.partition(stop)[0]
        assert cut.finish == "stop"


def test_the_models_attention_is_restored(tiny_model):
    tiny = tiny_model("llama")
    original = tiny.model.config._attn_implementation
    engine = tiny.engine()
    engine.answer(draw_requests(random.Random(0), count=3))
    assert tiny.model.config._attn_implementation == original


@OLD_NAME
def test_an_adapter_takes_decode_batches_and_virtual_tokens_do_not(tiny_model, generated):
    base = tiny_model("llama")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lora = peft.LoraConfig(
            task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False
        )
        tuned = peft.get_peft_model(copy.deepcopy(base.model), lora).eval()
        prompt = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
        virtual = peft.get_peft_model(copy.deepcopy(base.model), prompt).eval()
    assert not takes_decode_batches(FullPass(virtual, encoder_decoder=False))
    tiny = base._replace(model=tuned)
    engine = tiny.engine()
    assert engine.capabilities.decode_batch
    requests = draw_requests(random.Random(9), count=6)
    for answer, request in zip(engine.answer(requests), requests, strict=True):
        (encoded,) = engine.request_encoder.encode([request])
        want = generated(tiny, encoded.prompt, request.max_new_tokens, ends=tuple(engine.stop_ids))
        assert answer.text == tiny.tokenizer.decode(want, skip_special_tokens=True)
