"""Choices in packs without padding: which models take them, and that nothing sees what it must not."""

from __future__ import annotations

import copy
import random
from contextlib import nullcontext

import peft
import pytest
import torch

from tutelage.core.types import Request
from tutelage.engine import BatchLimits, capabilities, packed_scoring
from tutelage.engine.capabilities import takes_decode_batches, takes_packs
from tutelage.engine.last_layer_pruning import prune_last_mlp
from tutelage.engine.packed_scoring import pack_requests
from tutelage.engine.sequential import FullPass

OLD_NAME = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
"""peft asks transformers for it."""
SHARED = "the price of small plans is 12 euros a month " * 3


def draw_requests(draw, count=9):
    """Questions with a long shared prefix and choices of one to many tokens."""
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


def plainly(tiny, engine, request, likelihood):
    (item,) = engine.request_encoder.encode([request])
    return [likelihood(tiny, item.prompt, choice) for choice in item.choices]


def test_these_families_take_packs(tiny_model):
    families = ("llama", "gpt2", "neox", "opt", "bloom", "gemma2", "gemma3", "mistral")
    # bloom makes its own mask of a two-dimensional one; the last three have windows, where nothing is shared.
    assert [family for family in families if tiny_model(family).engine().capabilities.packed_scoring] == [
        "llama",
        "gpt2",
        "neox",
        "opt",
    ]
    assert not takes_packs(tiny_model("bloom").engine().full_pass)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "bloom", "opt"])
@pytest.mark.parametrize("tokens", [1, 40, 512])
def test_values_are_those_of_one_choice_alone(tiny_model, likelihood, monkeypatch, family, tokens):
    monkeypatch.setattr(packed_scoring, "PACK_TOKENS", tokens)
    tiny = tiny_model(family)
    engine = tiny.engine()
    requests = draw_requests(random.Random(tokens))
    for found, request in zip(engine.answer(requests), requests, strict=True):
        assert found.logprobs == pytest.approx(plainly(tiny, engine, request, likelihood), abs=1e-4)


def test_neither_order_nor_company_changes_a_value(tiny_model):
    engine = tiny_model("llama").engine()
    requests = draw_requests(random.Random(5), count=12)
    first = {response.id: response.logprobs for response in engine.answer(requests)}
    for rows in (1, 3, 12):
        few = tiny_model("llama").engine(BatchLimits(rows=rows))
        for again in few.answer(random.Random(rows).sample(requests, len(requests))):
            assert again.logprobs == pytest.approx(first[again.id], abs=5e-5)


def test_a_pack_keeps_to_its_tokens_and_rows(tiny_model):
    engine = tiny_model("llama").engine()
    encoded = list(engine.request_encoder.encode(draw_requests(random.Random(1), count=20)))
    for tokens, rows in ((1, 99), (60, 99), (500, 99), (500, 2)):
        found = list(pack_requests(encoded, 3, tokens=tokens, rows=rows))
        assert [item for chosen, _ in found for item in chosen] == encoded
        for chosen, pack in found:
            assert len(chosen) == 1 or len(pack.ids) <= tokens
            assert len(chosen) <= rows
            assert len(pack.targets) == sum(len(choice) for item in chosen for choice in item.choices)


def test_the_trial_of_packs_scores_both_choices_of_a_request_by_one_full_pass(tiny_model):
    model, passes = tiny_model("llama").model, []
    hook = model.register_forward_hook(lambda *_: passes.append(1))
    try:
        assert tiny_model("llama").engine().capabilities.packed_scoring
    finally:
        hook.remove()
    assert len(passes) == 5  # one of the prefix, two of packs, one for each of two requests


def test_the_shared_prefix_is_read_once(tiny_model, monkeypatch):
    tiny = tiny_model("llama")
    engine = tiny.engine()
    assert engine.capabilities.packed_scoring  # tried here, so that the trial is not counted
    requests = draw_requests(random.Random(2), count=10)
    alone = sum(len(item.prompt) * len(item.choices) for item in engine.request_encoder.encode(requests))
    counts = []
    original = tiny.model.forward

    def forward(*args, **named):
        counts.append(named["input_ids"].shape)
        return original(*args, **named)

    monkeypatch.setattr(tiny.model, "forward", forward)
    engine.answer(requests)
    assert all(rows == 1 for rows, _ in counts)
    assert sum(length for _, length in counts) < alone / 3


@pytest.mark.parametrize("tokens", [200, 500])
def test_neighbours_share_their_prefix_in_a_pack_and_each_attends_to_its_own_text(tiny_model, tokens):
    engine = tiny_model("llama").engine()
    draw = random.Random(tokens)
    requests = [*draw_requests(draw, count=20), *draw_requests(draw, count=3)]
    encoded = sorted(engine.request_encoder.encode(requests), key=lambda item: item.prompt)
    prefix_length, number, packed_tokens = 3, 0, 0
    for chosen, pack in pack_requests(encoded, prefix_length, tokens=tokens, share_neighbours=True):
        for item, spans in zip(chosen, pack.spans, strict=True):
            ids = [pack.ids[at] for start, end in spans for at in range(start, end)]
            positions = [pack.positions[at] for start, end in spans for at in range(start, end)]
            length = len(item.prompt) - prefix_length
            assert ids[:length] == item.prompt[prefix_length:]
            assert positions[:length] == list(range(length))
            assert ids[length:] == [token for choice in item.choices for token in choice[:-1]]
            assert not any(pack.choices[at] for start, end in spans[:-1] for at in range(start, end))
            number += 1
        packed_tokens += len(pack.ids)
    assert number == len(encoded)
    apart = sum(len(pack.ids) for _, pack in pack_requests(encoded, prefix_length, tokens=tokens))
    assert packed_tokens < apart / (1.05 if tokens == 200 else 1.7)  # all begin with the same sentence


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox"])
def test_the_last_layer_computes_only_scored_tokens(tiny_model, monkeypatch, family):
    tiny = tiny_model(family)
    engine = tiny.engine()
    assert engine.capabilities.packed_scoring
    requests = draw_requests(random.Random(7), count=6)
    parts = [module for name, module in tiny.model.named_modules() if name.endswith(".mlp")]
    counts = dict.fromkeys(parts, 0)

    def count(part, given):
        counts[part] += given[0].shape[1]

    hooks = [
        inner.register_forward_pre_hook(lambda _, given, part=part: count(part, given))
        for part in parts
        for inner in list(part.children())[:1]
    ]
    with_pruning = engine.answer(requests)
    for hook in hooks:
        hook.remove()
    *earlier, last = counts.values()
    assert len(set(earlier)) == 1
    assert (
        0
        < last
        <= sum(len(choice) for item in engine.request_encoder.encode(requests) for choice in item.choices)
    )
    assert last < 0.6 * earlier[0]
    monkeypatch.setattr("tutelage.engine.packed_scoring.prune_last_mlp", lambda *_: nullcontext())
    for pruned, whole in zip(with_pruning, engine.answer(requests), strict=True):
        assert pruned.logprobs == pytest.approx(whole.logprobs, abs=1e-5)
    assert not any("forward" in vars(part) for part in parts)


def test_a_part_that_gives_more_than_a_tensor_computes_all(tiny_model):
    model = copy.deepcopy(tiny_model("llama").model)
    part = model.get_decoder().layers[-1].mlp
    hidden = torch.ones(1, 4, 32)
    part.forward = lambda given: (given * 2, "router")  # as a replaced part, it is left alone
    with prune_last_mlp(model, torch.tensor([1])):
        assert part(hidden)[0].equal(hidden * 2)
    del part.forward
    type_of = type(part)
    try:
        part.__class__ = type("Routed", (type_of,), {"forward": lambda _, given: (given * 2, "router")})
        with prune_last_mlp(model, torch.tensor([1])):
            assert part(hidden)[0].equal(hidden * 2)
    finally:
        part.__class__ = type_of
    with prune_last_mlp(model, torch.tensor([1])):
        found = part(hidden)
    assert not found[:, [0, 2, 3]].any()
    assert found[:, 1].equal(part(hidden[:, 1:2])[:, 0])


@OLD_NAME
def test_virtual_tokens_do_not_go_into_packs(tiny_model):
    base = tiny_model("llama")
    settings = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = peft.get_peft_model(copy.deepcopy(base.model), settings)
    assert not takes_packs(FullPass(model.eval(), encoder_decoder=False))


@OLD_NAME
def test_an_adapter_takes_packs_and_gives_what_it_gives_alone(tiny_model, likelihood):
    base = tiny_model("llama")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = peft.get_peft_model(
            copy.deepcopy(base.model),
            peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False),
        ).eval()
    tiny = base._replace(model=model)
    engine = tiny.engine()
    assert engine.capabilities.packed_scoring
    requests = draw_requests(random.Random(3), count=4)
    with_it = [response.logprobs for response in engine.answer(requests)]
    for found, request in zip(with_it, requests, strict=True):
        assert found == pytest.approx(plainly(tiny, engine, request, likelihood), abs=1e-4)
    with model.disable_adapter():
        without = [response.logprobs for response in tiny.engine().answer(requests)]
    assert without != pytest.approx(with_it[0], abs=1e-2)
    for found, own in zip(base.engine().answer(requests), without, strict=True):
        assert found.logprobs == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "opt"])
def test_half_precision_takes_packs_and_rows_too_and_those_that_do_not_still_do_not(tiny_model, family):
    half = tiny_model(family)._replace(model=copy.deepcopy(tiny_model(family).model).to(torch.bfloat16))
    assert half.engine().capabilities.packed_scoring
    assert half.engine().capabilities.decode_batch
    bloom = tiny_model("bloom")._replace(model=copy.deepcopy(tiny_model("bloom").model).to(torch.bfloat16))
    assert not bloom.engine().capabilities.packed_scoring
    assert not takes_decode_batches(bloom.engine().full_pass)


def test_a_conversation_tries_nothing(tiny_model, monkeypatch):
    monkeypatch.setattr(capabilities, "takes_packs", lambda _: pytest.fail("tried"))
    engine = tiny_model("llama").engine()
    assert list(engine.stream([{"role": "user", "content": "Paris?"}], max_new_tokens=2))
