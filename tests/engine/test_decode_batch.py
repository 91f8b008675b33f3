"""Generation in rows behind beginnings that are held once: which models take it, and that it says what each row says alone."""

from __future__ import annotations

import copy
import random

import peft
import pytest
import torch
from transformers import DynamicCache

from tutelage.core.types import Request
from tutelage.engine import Limits
from tutelage.engine.decode_batch import Rows, takes_rows
from tutelage.engine.shared_prefix import behind, fresh

OLD_NAME = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
"""peft asks transformers for it."""
BEGINNINGS = [
    "the price of small plans is 12 euros a month " * 3,
    "What is the capital of France? Paris " * 3,
    "",
]
WORDS = ["yes", "no", "Paris", "a", "12", "euros", "the price", "plans", "What is"]


def requests(draw, count=24):
    """Texts of different beginnings and lengths, each with its own limit."""
    return [
        Request(
            str(n),
            "generate",
            BEGINNINGS[n % 3] + " ".join(draw.choices(WORDS, k=draw.randint(1, 14))),
            max_new_tokens=draw.choice([1, 2, 7, 30]),
            form=draw.choice(["text", "chat"]),
        )
        for n in range(count)
    ]


def test_the_kinds_that_take_rows_are_these_and_none_is_lost_unseen(asked):
    families = ("llama", "gpt2", "neox", "opt", "bloom", "gemma2", "gemma3", "mistral")
    assert [family for family in families if asked(family).engine()._rows] == ["llama", "gpt2", "neox", "opt"]
    assert not takes_rows(asked("bloom").model)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "opt"])
@pytest.mark.parametrize("rows", [1, 3, 32])
def test_each_row_says_what_transformers_says_to_it_alone(asked, generated, family, rows):
    one = asked(family)
    engine = one.engine(Limits(rows=rows))
    wanted = requests(random.Random(rows))
    ends = tuple(engine.stop_ids)
    for answer, request in zip(engine.answer(wanted), wanted, strict=True):
        (read,) = engine.reader.read([request])
        want = generated(one, read.prompt, request.max_new_tokens, ends=ends)
        assert answer.text == one.tokenizer.decode(want, skip_special_tokens=True)


def test_rows_that_end_leave_at_once_and_others_take_their_places(asked, monkeypatch):
    engine = asked("llama").engine(Limits(rows=8))
    assert engine._rows  # it is tried before what goes through the model is counted
    monkeypatch.setattr(engine, "stop_ids", frozenset())  # every answer has the length that is asked for
    lengths = [2, 40, 3, 2, 5, 2, 30, 2, 4, 2, 2, 3] * 3
    wanted = [
        Request(str(n), "generate", f"Paris {n} " * (1 + n % 5), max_new_tokens=most)
        for n, most in enumerate(lengths)
    ]
    sizes = []
    real = Rows.feed

    def feed(self, tokens):
        sizes.append(len(tokens))
        return real(self, tokens)

    monkeypatch.setattr(Rows, "feed", feed)
    told = []
    answers = engine.answer(wanted, on_done=lambda some: told.extend(r.id for r in some))
    assert [answer.tokens for answer in answers] == lengths
    assert sorted(told) == sorted(r.id for r in wanted)
    assert max(sizes) <= 8
    assert sum(sizes) == sum(most - 1 for most in lengths)  # no row is fed after its end
    assert len(sizes) < 0.6 * sum(max(lengths[start : start + 8]) for start in range(0, len(lengths), 8))


@pytest.mark.parametrize("held", [1 << 30, 120_000])
def test_what_is_held_keeps_to_its_bytes(asked, monkeypatch, held):
    engine = asked("llama").engine(Limits(rows=8, held=held))
    monkeypatch.setattr(engine, "stop_ids", frozenset())
    wanted = requests(random.Random(1), count=60)
    # One may say much more than all others: room as wide as its answer may not be made for as many rows as there can be.
    wanted.append(Request("long", "generate", "Hello", max_new_tokens=150))
    most = []
    real = Rows.feed

    def feed(self, tokens):
        most.append(len(self))
        assert stored(self) <= held or len(self) == 1  # one alone is taken whatever it takes
        return real(self, tokens)

    monkeypatch.setattr(Rows, "feed", feed)
    answers = engine.answer(wanted)
    assert max(most) == 8 if held > 120_000 else 1 < max(most) < 8
    monkeypatch.setattr(Rows, "feed", real)
    other = asked("llama").engine()
    monkeypatch.setattr(other, "stop_ids", frozenset())
    assert answers == other.answer(wanted)


def stored(rows: Rows) -> int:
    """Bytes of all that is held, whether in use or not: storages, and not what of them is looked at."""
    tensors = [t for pair in rows._held for t in pair]
    tensors += [
        t for one in rows.beginnings() if one.depth for la in one.cache.layers for t in (la.keys, la.values)
    ]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def test_a_row_that_needs_more_than_may_be_held_is_asked_alone(asked, monkeypatch):
    engine = asked("llama").engine(Limits(rows=8, held=1))
    assert engine._rows
    wanted = requests(random.Random(2), count=10)
    want = asked("llama").engine().answer(wanted)
    sizes = []
    real = Rows.feed
    monkeypatch.setattr(Rows, "feed", lambda self, tokens: (sizes.append(len(self)), real(self, tokens))[1])
    assert engine.answer(wanted) == want
    assert set(sizes) == {1}


def test_a_pass_that_fails_leaves_the_beginning_as_it_was(asked):
    one = asked("llama")
    model = one.model
    with torch.inference_mode():
        cache = DynamicCache(config=model.config)
        model(input_ids=torch.tensor([[5, 6, 7, 8]]), past_key_values=cache, use_cache=True)
        before = [(layer.keys, layer.values) for layer in cache.layers]
        made = behind(cache)
        model(input_ids=torch.tensor([[9, 10]]), past_key_values=made, use_cache=True)
        assert all(
            layer.keys is keys and layer.values is values
            for layer, (keys, values) in zip(cache.layers, before, strict=True)
        )
        assert {keys.shape[2] for pair in fresh(made) for keys in pair} == {2}


def test_the_beginning_is_read_once_and_never_copied(asked, monkeypatch):
    one = asked("llama")
    engine = one.engine()
    wanted = [
        Request(str(n), "generate", BEGINNINGS[0] * 2 + f"{n}?", max_new_tokens=6, form="text")
        for n in range(12)
    ]
    shared = len(next(iter(engine.reader.read(wanted))).prompt) - 8
    seen = []
    real = one.model.forward

    def forward(*args, **named):
        seen.append(named["input_ids"].numel())
        return real(*args, **named)

    monkeypatch.setattr(one.model, "forward", forward)
    rows = []
    real_room = Rows._make_room
    monkeypatch.setattr(
        Rows, "_make_room", lambda self, *given: (real_room(self, *given), rows.append(self._room[1]))[0]
    )
    engine.answer(wanted)
    assert sum(seen) < 2 * shared + 12 * (8 + 6)
    assert max(rows) <= 64 < shared  # a row has room for its own tokens only


def test_stop_strings_end_a_row_wherever_they_come(asked):
    one = asked("llama")
    engine = one.engine()
    plain = engine.answer(requests(random.Random(4), count=12))
    for answer, request in zip(plain, requests(random.Random(4), count=12), strict=True):
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


def test_the_models_attention_is_its_own_again_afterwards(asked):
    one = asked("llama")
    before = one.model.config._attn_implementation
    engine = one.engine()
    engine.answer(requests(random.Random(0), count=3))
    assert one.model.config._attn_implementation == before


@OLD_NAME
def test_an_adapter_takes_rows_and_virtual_tokens_do_not(asked, generated):
    base = asked("llama")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lora = peft.LoraConfig(
            task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False
        )
        tuned = peft.get_peft_model(copy.deepcopy(base.model), lora).eval()
        prompt = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
        virtual = peft.get_peft_model(copy.deepcopy(base.model), prompt).eval()
    assert not takes_rows(virtual)
    one = base._replace(model=tuned)
    engine = one.engine()
    assert engine._rows
    wanted = requests(random.Random(9), count=6)
    for answer, request in zip(engine.answer(wanted), wanted, strict=True):
        (read,) = engine.reader.read([request])
        want = generated(one, read.prompt, request.max_new_tokens, ends=tuple(engine.stop_ids))
        assert answer.text == one.tokenizer.decode(want, skip_special_tokens=True)
