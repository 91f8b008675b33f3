"""What prompts begin with alike goes through the model once, and the answers are those of each prompt alone."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import transformers as tf

from tutelage.core.types import Request
from tutelage.engine import Limits, packed_scoring, prefixes
from tutelage.engine.engine import Engine
from tutelage.engine.padded_batch import shares
from tutelage.engine.prefixes import GAIN, LEAST, LEVELS, Branch, tree

DECODERS = ("llama", "gpt2", "gemma2", "gemma3", "mistral", "opt", "bloom", "neox")
SHARING = {"llama", "gpt2", "opt", "bloom", "neox"}
TASKS = [
    "What is the price of small plans? 12 euros a month. ",
    "Hello, yes or no: is Paris the capital? yes. ",
]


def nodes(branch: Branch):
    yield branch
    for further in branch.branches:
        yield from nodes(further)


def drawn(seed: int) -> list[list[int]]:
    """Prompts that grow out of each other, some of them the same."""
    rng = random.Random(seed)
    found = [[rng.randrange(5) for _ in range(rng.randint(1, 60))] for _ in range(2)]
    for _ in range(rng.randint(0, 30)):
        start = rng.choice(found)
        start = start[: rng.randint(1, len(start))] if rng.random() < 0.5 else start
        found.append([*start, *(rng.randrange(5) for _ in range(rng.randint(0, 40)))])
    rng.shuffle(found)
    return found


@pytest.mark.parametrize("seed", range(200))
def test_a_tree_has_every_prompt_once_below_what_it_begins_with(seed):
    prompts = drawn(seed)

    def check(branch: Branch, above: list[int], level: int) -> list[int]:
        path = above + list(branch.tokens)
        assert len(path) == branch.depth
        below = [place for one in branch.branches for place in check(one, path, level + 1)]
        places = [*branch.rows, *below]
        for place in places:
            assert prompts[place][: branch.depth] == path
            assert (
                len(prompts[place]) > branch.depth
            )  # something is left to be read, whose logits are asked for
        if level:
            assert level <= LEVELS
            assert len(branch.tokens) >= LEAST
            assert (len(places) - 1) * len(branch.tokens) >= GAIN
        return places

    assert sorted(check(tree(prompts), [], 0)) == list(range(len(prompts)))


def test_shots_of_a_task_are_one_branch_and_tasks_are_two():
    one, other = list(range(100)), list(range(100, 200))
    prompts = [[*start, 500 + n, 600 + n] for n in range(5) for start in (one, other)]
    root = tree(prompts)
    assert (root.tokens, root.rows) == ((), ())
    assert [list(branch.tokens) for branch in root.branches] == [one, other]
    assert [sorted(branch.rows) for branch in root.branches] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert tree([[7] * 50]).branches == ()


def test_where_packs_share_a_branch_is_one_pass_that_spares_more_than_it_costs():
    def prompts(common: int, count: int) -> list[list[int]]:
        return [[*range(common), 500 + n, *range(900, 990)] for n in range(count)]

    few = prompts(20, 20)  # four packs of 512: three times 20 tokens are spared, of 64 wanted
    assert tree(few).branches
    assert tree(few, packed=512).branches == ()
    assert tree(few, packed=512).rows == tuple(range(20))
    assert tree(few, packed=300).branches
    assert tree(prompts(20, 30), packed=512).branches
    assert tree(prompts(200, 4), packed=512).branches == ()  # one pack holds them all
    assert tree(prompts(200, 6), packed=512).branches


@pytest.fixture
def questions() -> list[Request]:
    """Questions behind two lots of exemplars, some asked twice, some alone."""
    rng = random.Random(3)
    words = ["price", "small plans", "Paris", "12", "euros", "a month", "yes", "\N{SLIGHTLY SMILING FACE}"]
    found = []
    for n in range(24):
        start = TASKS[n % 2] * (3 if n % 4 else 4) if n % 7 else ""
        prompt = start + " ".join(rng.choices(words, k=rng.randint(1, 12)))
        if n % 3:
            found.append(
                Request(f"c{n}", "choose", prompt, choices=[("yes", "no"), ("1", "12 euros", "a")][n % 2])
            )
        else:
            found.append(Request(f"g{n}", "generate", prompt, max_new_tokens=rng.choice([1, 4, 9])))
    return [*found, *(replace(one, id=f"{one.id} again") for one in found[:4])]


@pytest.mark.parametrize("family", DECODERS)
def test_answers_are_those_of_each_prompt_alone(asked, generated, likelihood, questions, family):
    one = asked(family)
    engine = one.engine(Limits(rows=5))
    assert engine._shares is (family in SHARING)
    prompts = [engine.encoder.prompt_ids(r.prompt) for r in questions]
    if engine._shares:
        chosen = [p for r, p in zip(questions, prompts, strict=True) if r.kind == "choose"]
        assert sum(1 for _ in nodes(tree(chosen))) > 2
    for request, ids, answer in zip(questions, prompts, engine.answer(questions), strict=True):
        if request.kind == "generate":
            want = generated(one, ids, request.max_new_tokens)
            assert answer.text == one.tokenizer.decode(want, skip_special_tokens=True)
            continue
        tokens = [one.tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in request.choices]
        assert answer.logprobs == pytest.approx([likelihood(one, ids, choice) for choice in tokens], abs=1e-4)


def read(engine: Engine, requests: list[Request]) -> int:
    """How many tokens the model reads, padding and all, to answer."""
    seen = []
    hook = engine.model.register_forward_pre_hook(
        lambda _module, _words, named: seen.append(named["input_ids"].numel()), with_kwargs=True
    )
    try:
        engine.answer(requests)
    finally:
        hook.remove()
    return sum(seen)


def test_what_is_shared_is_read_once(asked, monkeypatch):
    one = asked("llama")
    requests = [
        Request(str(n), "choose", f"{TASKS[n % 2] * 4}{n}?", choices=("yes", "no")) for n in range(20)
    ]
    engine = one.engine()
    assert engine._packs  # it is tried before what goes through the model is counted
    lengths = [len(engine.encoder.prompt_ids(r.prompt)) for r in requests]
    unique = sum(lengths) - 18 * (min(lengths) - 6)
    shared = read(engine, requests)
    monkeypatch.setattr(prefixes, "GAIN", 10**9)
    monkeypatch.setattr(packed_scoring, "shared", lambda *_: 0)
    alone = read(engine, requests)
    assert sum(lengths) <= alone <= 1.1 * sum(lengths) + 40
    assert shared < 1.5 * unique + 40  # the rest of a question is padded to its batch's longest
    assert shared < alone / 4


def test_batches_keep_within_the_bytes_that_may_be_held(asked, monkeypatch):
    one = asked("llama")
    requests = [Request(str(n), "choose", f"{TASKS[0] * 4}{n}?", choices=("yes", "no")) for n in range(20)]
    engine = one.engine(Limits(held=300_000))
    engine._packs = False  # a pack holds no copy of the beginning, and nothing of it has to be bounded
    widest = []
    real = type(engine)._choose

    def watched(self, batch, state):
        widest.append((len(batch), state.held * state.mask.numel()))
        return real(self, batch, state)

    monkeypatch.setattr(type(engine), "_choose", watched)
    few = engine.answer(requests)
    assert max(rows for rows, _ in widest) > 1
    assert all(2 * held <= 300_000 for _, held in widest)
    assert len(widest) > 3
    for a, b in zip(few, one.engine().answer(requests), strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=5e-5)


def test_a_window_or_a_recurrent_layer_shares_nothing(asked):
    assert [family for family in DECODERS if shares(asked(family).model)] == [
        family for family in DECODERS if family in SHARING
    ]


def test_kinds_that_count_what_is_held_share_nothing():
    shape = {"vocab_size": 99, "n_layers": 2, "n_heads": 4, "d_model": 32}
    assert not shares(
        SimpleNamespace(config=tf.MptConfig(**shape))
    )  # its slopes count slots, padding and all
    small = {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    assert shares(SimpleNamespace(config=tf.LlamaConfig(**small)))
    moving = tf.LlamaConfig(**small, rope_scaling={"rope_type": "dynamic", "factor": 2.0})
    assert not shares(SimpleNamespace(config=moving))  # its places depend on the longest row of a batch


def test_an_interrupted_batch_leaves_the_shared_state_as_it_was(asked, questions):
    one = asked("llama")
    engine = one.engine(Limits(rows=2))
    ids = engine.encoder.prompt_ids(TASKS[0] * 3)
    with torch.inference_mode():
        state = engine._start([ids])
        before = [layer.keys.clone() for layer in state.cache.layers]
        for _ in range(2):
            below = state.below([[5, 6, 7], [8]], pad_id=0)
            below.feed(torch.tensor([[3], [4]]))
        assert all(
            torch.equal(layer.keys, old) for layer, old in zip(state.cache.layers, before, strict=True)
        )
        assert (state.mask.shape, state.logits.shape[0]) == ((1, len(ids)), 1)
