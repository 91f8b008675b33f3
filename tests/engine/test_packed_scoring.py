"""Choices in packs without padding: which models take them, and that nothing sees what it must not."""

from __future__ import annotations

import copy
import random
from contextlib import nullcontext

import peft
import pytest
import torch

from tutelage.core.types import Request
from tutelage.engine import Limits, packed_scoring
from tutelage.engine.decode_batch import takes_rows
from tutelage.engine.last_layer_pruning import only_at
from tutelage.engine.packed_scoring import packs, takes_packs

OLD_NAME = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
"""peft asks transformers for it."""
SHARED = "the price of small plans is 12 euros a month " * 3


def requests(draw, count=9):
    """Questions with a long beginning in common and choices of one to many tokens."""
    words = ["yes", "no", "Paris", "a", "12", "euros", "the price", "plans"]
    return [
        Request(
            f"r{n}",
            "choose",
            SHARED + " ".join(draw.choices(words, k=draw.randint(1, 12))),
            choices=tuple(
                dict.fromkeys(
                    " ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(draw.randint(1, 5))
                )
            ),
        )
        for n in range(count)
    ]


def plainly(one, engine, request, likelihood):
    (read,) = engine.reader.read([request])
    return [likelihood(one, read.prompt, choice) for choice in read.choices]


def test_the_kinds_that_take_packs_are_these_and_none_is_lost_unseen(asked):
    families = ("llama", "gpt2", "neox", "opt", "bloom", "gemma2", "gemma3", "mistral")
    # bloom makes its own mask of a two-dimensional one; the last three have windows, where nothing is shared.
    assert [family for family in families if asked(family).engine()._packs] == [
        "llama",
        "gpt2",
        "neox",
        "opt",
    ]
    assert not takes_packs(asked("bloom").model)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "bloom", "opt"])
@pytest.mark.parametrize("tokens", [1, 40, 512])
def test_values_are_those_of_one_choice_alone(asked, likelihood, monkeypatch, family, tokens):
    monkeypatch.setattr(packed_scoring, "TOKENS", tokens)
    one = asked(family)
    engine = one.engine()
    wanted = requests(random.Random(tokens))
    for found, request in zip(engine.answer(wanted), wanted, strict=True):
        assert found.logprobs == pytest.approx(plainly(one, engine, request, likelihood), abs=1e-4)


def test_neither_order_nor_company_changes_a_value(asked):
    engine = asked("llama").engine()
    wanted = requests(random.Random(5), count=12)
    first = {one.id: one.logprobs for one in engine.answer(wanted)}
    for rows in (1, 3, 12):
        few = asked("llama").engine(Limits(rows=rows))
        for again in few.answer(random.Random(rows).sample(wanted, len(wanted))):
            assert again.logprobs == pytest.approx(first[again.id], abs=5e-5)


def test_a_pack_keeps_to_its_tokens_and_rows(asked):
    engine = asked("llama").engine()
    reads = list(engine.reader.read(requests(random.Random(1), count=20)))
    for tokens, rows in ((1, 99), (60, 99), (500, 99), (500, 2)):
        found = list(packs(reads, 3, tokens=tokens, rows=rows))
        assert [read for chosen, _ in found for read in chosen] == reads
        for chosen, pack in found:
            assert len(chosen) == 1 or len(pack.ids) <= tokens
            assert len(chosen) <= rows
            assert len(pack.told) == sum(len(choice) for read in chosen for choice in read.choices)


def test_the_beginning_is_read_once_and_given_back_as_it_was(asked, monkeypatch):
    one = asked("llama")
    engine = one.engine()
    assert engine._packs  # it is tried before what goes through the model is counted
    wanted = requests(random.Random(2), count=10)
    alone = sum(len(read.prompt) * len(read.choices) for read in engine.reader.read(wanted))
    seen = []
    real = one.model.forward

    def forward(*args, **named):
        seen.append(named["input_ids"].shape)
        return real(*args, **named)

    monkeypatch.setattr(one.model, "forward", forward)
    engine.answer(wanted)
    assert all(rows == 1 for rows, _ in seen)
    assert sum(length for _, length in seen) < alone / 3


@pytest.mark.parametrize("tokens", [200, 500])
def test_what_neighbours_begin_with_alike_lies_in_a_pack_once_and_each_sees_its_own_text(asked, tokens):
    engine = asked("llama").engine()
    draw = random.Random(tokens)
    wanted = [*requests(draw, count=20), *requests(draw, count=3)]
    reads = sorted(engine.reader.read(wanted), key=lambda read: read.prompt)
    depth, number, put = 3, 0, 0
    for chosen, pack in packs(reads, depth, tokens=tokens, once=True):
        for read, spans in zip(chosen, pack.spans, strict=True):
            ids = [pack.ids[at] for start, end in spans for at in range(start, end)]
            places = [pack.places[at] for start, end in spans for at in range(start, end)]
            own = len(read.prompt) - depth
            assert ids[:own] == read.prompt[depth:]
            assert places[:own] == list(range(own))
            assert ids[own:] == [token for choice in read.choices for token in choice[:-1]]
            assert not any(pack.choices[at] for start, end in spans[:-1] for at in range(start, end))
            number += 1
        put += len(pack.ids)
    assert number == len(reads)
    apart = sum(len(pack.ids) for _, pack in packs(reads, depth, tokens=tokens))
    assert put < apart / (1.05 if tokens == 200 else 1.7)  # all begin with the same sentence


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox"])
def test_the_last_layer_computes_only_what_is_told(asked, monkeypatch, family):
    one = asked(family)
    engine = one.engine()
    assert engine._packs
    wanted = requests(random.Random(7), count=6)
    parts = [module for name, module in one.model.named_modules() if name.endswith(".mlp")]
    seen = dict.fromkeys(parts, 0)

    def count(part, given):
        seen[part] += given[0].shape[1]

    hooks = [
        inner.register_forward_pre_hook(lambda _, given, part=part: count(part, given))
        for part in parts
        for inner in list(part.children())[:1]
    ]
    with_it = engine.answer(wanted)
    for hook in hooks:
        hook.remove()
    *before, last = seen.values()
    assert len(set(before)) == 1
    assert 0 < last <= sum(len(choice) for read in engine.reader.read(wanted) for choice in read.choices)
    assert last < 0.6 * before[0]
    monkeypatch.setattr("tutelage.engine.packed_scoring.only_at", lambda *_: nullcontext())
    for some, whole in zip(with_it, engine.answer(wanted), strict=True):
        assert some.logprobs == pytest.approx(whole.logprobs, abs=1e-5)
    assert not any("forward" in vars(part) for part in parts)


def test_a_part_that_gives_more_than_a_tensor_computes_all(asked):
    model = copy.deepcopy(asked("llama").model)
    part = model.get_decoder().layers[-1].mlp
    hidden = torch.ones(1, 4, 32)
    part.forward = lambda given: (given * 2, "router")  # as a replaced part, it is left alone
    with only_at(model, torch.tensor([1])):
        assert part(hidden)[0].equal(hidden * 2)
    del part.forward
    type_of = type(part)
    try:
        part.__class__ = type("Routed", (type_of,), {"forward": lambda _, given: (given * 2, "router")})
        with only_at(model, torch.tensor([1])):
            assert part(hidden)[0].equal(hidden * 2)
    finally:
        part.__class__ = type_of
    with only_at(model, torch.tensor([1])):
        found = part(hidden)
    assert not found[:, [0, 2, 3]].any()
    assert found[:, 1].equal(part(hidden[:, 1:2])[:, 0])


@OLD_NAME
def test_virtual_tokens_do_not_go_into_packs(asked):
    base = asked("llama")
    settings = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = peft.get_peft_model(copy.deepcopy(base.model), settings)
    assert not takes_packs(model.eval())


@OLD_NAME
def test_an_adapter_takes_packs_and_gives_what_it_gives_alone(asked, likelihood):
    base = asked("llama")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = peft.get_peft_model(
            copy.deepcopy(base.model),
            peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False),
        ).eval()
    one = base._replace(model=model)
    engine = one.engine()
    assert engine._packs
    wanted = requests(random.Random(3), count=4)
    with_it = [response.logprobs for response in engine.answer(wanted)]
    for found, request in zip(with_it, wanted, strict=True):
        assert found == pytest.approx(plainly(one, engine, request, likelihood), abs=1e-4)
    with model.disable_adapter():
        without = [response.logprobs for response in one.engine().answer(wanted)]
    assert without != pytest.approx(with_it[0], abs=1e-2)
    for found, own in zip(base.engine().answer(wanted), without, strict=True):
        assert found.logprobs == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "opt"])
def test_half_precision_takes_packs_and_rows_too_and_those_that_do_not_still_do_not(asked, family):
    half = asked(family)._replace(model=copy.deepcopy(asked(family).model).to(torch.bfloat16))
    assert half.engine()._packs
    assert half.engine()._rows
    bloom = asked("bloom")._replace(model=copy.deepcopy(asked("bloom").model).to(torch.bfloat16))
    assert not bloom.engine()._packs
    assert not takes_rows(bloom.model)


def test_a_conversation_tries_nothing(asked, monkeypatch):
    monkeypatch.setattr(packed_scoring, "takes_packs", lambda _: pytest.fail("tried"))
    engine = asked("llama").engine()
    assert list(engine.stream([{"role": "user", "content": "Paris?"}], max_new_tokens=2))
