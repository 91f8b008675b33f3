"""A shared prefix goes through the model once, and the answers are those of each prompt alone."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import transformers as tf

from tutelage.core.types import Request
from tutelage.engine import BatchLimits, packed_scoring, padded_answers, prefix_tree
from tutelage.engine.capabilities import shares_prefixes
from tutelage.engine.engine import Engine
from tutelage.engine.prefix_tree import MAX_DEPTH, MIN_SAVED, MIN_TOKENS, PrefixNode, build_prefix_tree

DECODERS = ("llama", "gpt2", "gemma2", "gemma3", "mistral", "opt", "bloom", "neox")
SHARING = {"llama", "gpt2", "opt", "bloom", "neox"}
TASKS = [
    "What is the price of small plans? 12 euros a month. ",
    "Hello, yes or no: is Paris the capital? yes. ",
]


def nodes(node: PrefixNode):
    yield node
    for child in node.children:
        yield from nodes(child)


def drawn(seed: int) -> list[list[int]]:
    """Prompts that extend each other, some of them the same."""
    rng = random.Random(seed)
    prompts = [[rng.randrange(5) for _ in range(rng.randint(1, 60))] for _ in range(2)]
    for _ in range(rng.randint(0, 30)):
        start = rng.choice(prompts)
        start = start[: rng.randint(1, len(start))] if rng.random() < 0.5 else start
        prompts.append([*start, *(rng.randrange(5) for _ in range(rng.randint(0, 40)))])
    rng.shuffle(prompts)
    return prompts


@pytest.mark.parametrize("seed", range(200))
def test_every_prompt_is_in_the_tree_once_below_its_own_prefix(seed):
    prompts = drawn(seed)

    def check(node: PrefixNode, above: list[int], level: int) -> list[int]:
        path = above + list(node.tokens)
        assert len(path) == node.length
        below = [index for child in node.children for index in check(child, path, level + 1)]
        indices = [*node.prompts, *below]
        for index in indices:
            assert prompts[index][: node.length] == path
            assert len(prompts[index]) > node.length  # its last token is still to be read, for its logits
        if level:
            assert level <= MAX_DEPTH
            assert len(node.tokens) >= MIN_TOKENS
            assert (len(indices) - 1) * len(node.tokens) >= MIN_SAVED
        return indices

    assert sorted(check(build_prefix_tree(prompts), [], 0)) == list(range(len(prompts)))


def test_prompts_with_the_same_exemplars_share_a_node():
    first, second = list(range(100)), list(range(100, 200))
    prompts = [[*start, 500 + n, 600 + n] for n in range(5) for start in (first, second)]
    root = build_prefix_tree(prompts)
    assert (root.tokens, root.prompts) == ((), ())
    assert [list(node.tokens) for node in root.children] == [first, second]
    assert [sorted(node.prompts) for node in root.children] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert build_prefix_tree([[7] * 50]).children == ()


def test_with_packs_a_node_is_worth_a_pass_only_if_it_saves_more_than_that():
    def prompts(common: int, count: int) -> list[list[int]]:
        return [[*range(common), 500 + n, *range(900, 990)] for n in range(count)]

    few = prompts(20, 20)  # four packs of 512: three times 20 tokens are saved, fewer than 64
    assert build_prefix_tree(few).children
    assert build_prefix_tree(few, pack_tokens=512).children == ()
    assert build_prefix_tree(few, pack_tokens=512).prompts == tuple(range(20))
    assert build_prefix_tree(few, pack_tokens=300).children
    assert build_prefix_tree(prompts(20, 30), pack_tokens=512).children
    assert build_prefix_tree(prompts(200, 4), pack_tokens=512).children == ()  # one pack holds them all
    assert build_prefix_tree(prompts(200, 6), pack_tokens=512).children


@pytest.fixture
def questions() -> list[Request]:
    """Questions behind two sets of exemplars, some of them twice, some without exemplars."""
    rng = random.Random(3)
    words = ["price", "small plans", "Paris", "12", "euros", "a month", "yes", "\N{SLIGHTLY SMILING FACE}"]
    requests = []
    for n in range(24):
        start = TASKS[n % 2] * (3 if n % 4 else 4) if n % 7 else ""
        prompt = start + " ".join(rng.choices(words, k=rng.randint(1, 12)))
        if n % 3:
            requests.append(
                Request(f"c{n}", "choose", prompt, choices=[("yes", "no"), ("1", "12 euros", "a")][n % 2])
            )
        else:
            requests.append(Request(f"g{n}", "generate", prompt, max_new_tokens=rng.choice([1, 4, 9])))
    return [*requests, *(replace(request, id=f"{request.id} again") for request in requests[:4])]


@pytest.mark.parametrize("family", DECODERS)
def test_answers_are_those_of_each_prompt_alone(tiny_model, generated, likelihood, questions, family):
    tiny = tiny_model(family)
    engine = tiny.engine(BatchLimits(rows=5))
    assert engine.capabilities.prefix_sharing is (family in SHARING)
    prompts = [engine.encoder.prompt_ids(r.prompt) for r in questions]
    if engine.capabilities.prefix_sharing:
        chosen = [p for r, p in zip(questions, prompts, strict=True) if r.kind == "choose"]
        assert sum(1 for _ in nodes(build_prefix_tree(chosen))) > 2
    for request, ids, answer in zip(questions, prompts, engine.answer(questions), strict=True):
        if request.kind == "generate":
            want = generated(tiny, ids, request.max_new_tokens)
            assert answer.text == tiny.tokenizer.decode(want, skip_special_tokens=True)
            continue
        tokens = [tiny.tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in request.choices]
        assert answer.logprobs == pytest.approx(
            [likelihood(tiny, ids, choice) for choice in tokens], abs=1e-4
        )


def tokens_read(engine: Engine, requests: list[Request]) -> int:
    """How many tokens the model reads to answer, padding included."""
    counts = []
    hook = engine.model.register_forward_pre_hook(
        lambda _module, _args, named: counts.append(named["input_ids"].numel()), with_kwargs=True
    )
    try:
        engine.answer(requests)
    finally:
        hook.remove()
    return sum(counts)


def test_a_shared_prefix_is_read_once(tiny_model, monkeypatch):
    tiny = tiny_model("llama")
    requests = [
        Request(str(n), "choose", f"{TASKS[n % 2] * 4}{n}?", choices=("yes", "no")) for n in range(20)
    ]
    engine = tiny.engine()
    assert engine.capabilities.packed_scoring  # tried here, so that the trial is not counted
    lengths = [len(engine.encoder.prompt_ids(r.prompt)) for r in requests]
    unique = sum(lengths) - 18 * (min(lengths) - 6)
    shared = tokens_read(engine, requests)
    monkeypatch.setattr(prefix_tree, "MIN_SAVED", 10**9)
    monkeypatch.setattr(packed_scoring, "shared_length", lambda *_: 0)
    alone = tokens_read(engine, requests)
    assert sum(lengths) <= alone <= 1.1 * sum(lengths) + 40
    assert shared < 1.5 * unique + 40  # the rest of a question is padded to its batch's longest
    assert shared < alone / 4


def test_batches_keep_within_the_bytes_that_may_be_held(tiny_model, monkeypatch):
    tiny = tiny_model("llama")
    requests = [Request(str(n), "choose", f"{TASKS[0] * 4}{n}?", choices=("yes", "no")) for n in range(20)]
    engine = tiny.engine(BatchLimits(cache_bytes=300_000))
    engine.capabilities.packed_scoring = (
        False  # a pack holds no copy of the prefix, so nothing has to be bounded
    )
    sizes = []
    original = padded_answers.score_padded_choices

    def watched(requests, batch, **named):
        sizes.append((len(requests), batch.token_bytes * batch.mask.numel()))
        return original(requests, batch, **named)

    monkeypatch.setattr(padded_answers, "score_padded_choices", watched)
    few = engine.answer(requests)
    assert max(rows for rows, _ in sizes) > 1
    assert all(2 * size <= 300_000 for _, size in sizes)
    assert len(sizes) > 3
    for a, b in zip(few, tiny.engine().answer(requests), strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=5e-5)


def test_a_window_or_a_recurrent_layer_shares_nothing(tiny_model):
    assert [family for family in DECODERS if shares_prefixes(tiny_model(family).model)] == [
        family for family in DECODERS if family in SHARING
    ]


def test_models_that_count_cached_tokens_share_nothing():
    shape = {"vocab_size": 99, "n_layers": 2, "n_heads": 4, "d_model": 32}
    assert not shares_prefixes(
        SimpleNamespace(config=tf.MptConfig(**shape))
    )  # its slopes count slots, padding and all
    small = {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    assert shares_prefixes(SimpleNamespace(config=tf.LlamaConfig(**small)))
    moving = tf.LlamaConfig(**small, rope_scaling={"rope_type": "dynamic", "factor": 2.0})
    assert not shares_prefixes(
        SimpleNamespace(config=moving)
    )  # its places depend on the longest row of a batch


def test_continuations_leave_the_shared_prefix_as_it_was(tiny_model, questions):
    tiny = tiny_model("llama")
    engine = tiny.engine(BatchLimits(rows=2))
    ids = engine.encoder.prompt_ids(TASKS[0] * 3)
    with torch.inference_mode():
        state = engine._prefill([ids])
        original = [layer.keys.clone() for layer in state.cache.layers]
        for _ in range(2):
            forked = state.fork([[5, 6, 7], [8]], pad_id=0)
            forked.feed(torch.tensor([[3], [4]]))
        assert all(
            torch.equal(layer.keys, old) for layer, old in zip(state.cache.layers, original, strict=True)
        )
        assert (state.mask.shape, state.logits.shape[0]) == ((1, len(ids)), 1)
