"""Sampled answers: right frequencies, and draws that depend on seed, request and position alone, on every path."""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from tutelage.core.errors import InputError
from tutelage.core.types import Request, Sampling
from tutelage.engine import BatchLimits, Engine
from tutelage.engine import sampling as module
from tutelage.engine.capabilities import Batching
from tutelage.engine.generation import Generation
from tutelage.engine.sampling import draws, next_tokens
from tutelage.engine.selfcheck import check

WEIGHTS = (0.4, 0.25, 0.15, 0.1, 0.07, 0.03)
CHI_SQUARE = {2: 18.4, 3: 21.1, 5: 25.7}
"""By degrees of freedom, what one in 10,000 samples of the right distribution exceeds."""
PATHS = {
    "decode batches": {},
    "padded batches": {"decode_batch": False, "batching": Batching.PADDED},
    "alone on a cache": {"decode_batch": False, "batching": Batching.SINGLE},
    "alone in full passes": {"decode_batch": False, "batching": Batching.UNCACHED},
}


def draw(logits, sampling, *, id_="a", position=0) -> int:
    """One token from logits, which are a list or a tensor (V,)."""
    generation = Generation(Request(id_, "generate", "", sampling=sampling), [0] * position)
    (token,) = next_tokens(torch.as_tensor(logits, dtype=torch.float64)[None], [generation])
    return token


def drawable(logits, top_p, *, temperature=1.0) -> set[int]:
    """The tokens that are ever drawn."""
    return {draw(logits, Sampling(temperature, top_p), position=n) for n in range(200)}


@pytest.fixture(scope="module")
def exact(tiny_model):
    """A tiny model in float64, in which batches round too little to change a draw."""
    tiny = tiny_model("llama")
    return tiny._replace(model=copy.deepcopy(tiny.model).double())


@pytest.fixture(scope="module")
def sampled(prompts):
    """Greedy requests, and several draws of each prompt with its own settings."""
    settings = [Sampling(1.0), Sampling(0.7, 0.9, 5), None, Sampling(1.5, 0.5, 1), Sampling(2.0, 1.0, 2)]
    return [
        one
        for n, prompt in enumerate(prompts)
        for one in draws(
            Request(f"g{n}", "generate", prompt, max_new_tokens=(9, 1, 5)[n % 3], sampling=settings[n % 5]), 3
        )
    ]


def engine_of(tiny, path, **limits) -> Engine:
    engine = tiny.engine(BatchLimits(**limits))
    for name, value in PATHS[path].items():
        setattr(engine.capabilities, name, value)
    return engine


@pytest.mark.parametrize("path", PATHS)
def test_neither_path_nor_batch_nor_order_changes_a_draw(exact, sampled, path):
    alone = [exact.engine().answer([request])[0] for request in sampled]
    assert len({answer.text for answer in alone}) > len(sampled) / 2
    engine = engine_of(exact, path)
    assert engine.capabilities.decode_batch is (path == "decode batches")
    assert engine.answer(sampled) == alone
    assert engine.answer(sampled[::-1]) == alone[::-1]
    assert engine_of(exact, path, rows=4).answer(sampled[5:] + sampled[:5]) == alone[5:] + alone[:5]


def test_an_encoder_decoder_model_draws_the_same_in_batches_and_alone(tiny_model, sampled):
    tiny = tiny_model("t5")
    exact = tiny._replace(model=copy.deepcopy(tiny.model).double())
    alone = [engine_of(exact, "alone in full passes").answer([request])[0] for request in sampled]
    assert exact.engine(BatchLimits(rows=5)).answer(sampled) == alone


def test_greedy_answers_beside_sampled_ones_are_those_without_them(exact, sampled):
    greedy = [request for request in sampled if request.sampling is None]
    together = {answer.id: answer for answer in exact.engine().answer(sampled)}
    assert [together[request.id] for request in greedy] == exact.engine().answer(greedy)


def test_the_draws_of_a_prompt_have_ids_and_answers_of_their_own(exact):
    request = Request("q", "generate", "Hello", max_new_tokens=8, sampling=Sampling(1.0))
    repeated = draws(request, 6)
    assert [one.id for one in repeated] == ["q#1", "q#2", "q#3", "q#4", "q#5", "q#6"]
    assert {replace(one, id="q") for one in repeated} == {request}
    assert len({answer.text for answer in exact.engine().answer(repeated)}) == 6
    assert draws(request, 2) == repeated[:2]


def test_the_prompt_of_several_draws_is_read_once(exact, monkeypatch):
    engine = exact.engine()
    request = Request(
        "q", "generate", "the price of small plans " * 4, max_new_tokens=2, sampling=Sampling(1.0)
    )
    (encoded,) = engine.request_encoder.encode([request])
    assert engine.capabilities.decode_batch
    fed = []
    forward = exact.model.forward
    monkeypatch.setattr(
        exact.model, "forward", lambda *args, **named: (fed.append(named["input_ids"].numel()), forward(*args, **named))[1]
    )  # fmt: skip
    engine.answer(draws(request, 16))
    assert sum(fed) <= len(encoded.prompt) + 2 * 16


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, 6), (0.75, 3), (0.85, 4)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_with_their_probabilities(temperature, top_p, kept):
    weights = [weight**temperature for weight in WEIGHTS]  # so that the temperature gives WEIGHTS
    n = 4000
    generations = [
        Generation(Request(f"r{k}", "generate", "", sampling=Sampling(temperature, top_p)), [0] * (k % 3))
        for k in range(n)
    ]
    logits = torch.tensor([[0.0] * 2 + weights], dtype=torch.float64).log().expand(n, -1)
    counts = Counter(next_tokens(logits, generations))
    assert set(counts) == set(range(2, 2 + kept))
    expected = [n * weight / sum(WEIGHTS[:kept]) for weight in WEIGHTS[:kept]]
    statistic = sum((counts[2 + k] - want) ** 2 / want for k, want in enumerate(expected))
    assert statistic < CHI_SQUARE[kept - 1]


def test_top_p_keeps_the_smallest_set_that_reaches_it_and_of_equal_tokens_the_first():
    even = [0.0] * 4
    assert drawable(even, 0.25) == {0}
    assert drawable(even, 0.5) == {0, 1}
    assert drawable(even, 0.51) == {0, 1, 2}
    assert drawable(even, 0.75) == {0, 1, 2}
    assert drawable(even, 1.0) == {0, 1, 2, 3}
    halves = [math.log(weight) for weight in (1, 2, 1, 4)]  # 1/8, 1/4, 1/8, 1/2
    assert drawable(halves, 1e-9) == {3}
    assert drawable(halves, 0.6) == {1, 3}
    assert drawable(halves, 0.8) == {0, 1, 3}
    assert drawable(halves, 0.9) == {0, 1, 2, 3}
    assert drawable([0.0, -math.inf, 0.0], 0.9) == {0, 2}
    assert drawable([0.0, -math.inf, 0.0], 1.0) == {0, 2}


def test_top_p_is_of_the_probabilities_at_the_temperature():
    logits = [math.log(weight) for weight in (9, 3, 1)]  # 81, 9 and 1 of 91 at temperature 0.5
    assert drawable(logits, 0.8) == {0, 1}
    assert drawable(logits, 0.8, temperature=0.5) == {0}


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999, math.nextafter(1, 0)])
def test_top_p_allows_what_a_sort_of_the_whole_vocabulary_allows(top_p):
    torch.manual_seed(0)
    logits = (torch.randn(20, 300) * 2).round(decimals=1)  # with ties
    for number, row in enumerate(logits):
        generation = Generation(Request(str(number), "generate", "", sampling=Sampling(1.3, top_p)))
        order = row.double().sort(descending=True, stable=True)
        mass = (order.values / 1.3).softmax(-1).cumsum(0)
        count = min(int((mass < top_p).sum()) + 1, 300)
        allowed = module.scores(row, generation).isfinite().nonzero()[:, 0]
        assert set(allowed.tolist()) == set(order.indices[:count].tolist())


def test_another_seed_request_or_position_is_another_draw():
    logits = torch.zeros(50_000)
    base = draw(logits, Sampling(1.0))
    assert draw(logits, Sampling(1.0)) == base
    others = [
        draw(logits, Sampling(1.0, seed=1)),
        draw(logits, Sampling(1.0), id_="b"),
        draw(logits, Sampling(1.0), position=1),
    ]
    assert len({base, *others}) == 4


def test_the_draws_of_a_seed_stay_the_same():
    """Stored answers can be drawn again: neither another version nor another processor may change these."""
    logits = [math.log(weight) for weight in WEIGHTS]
    assert [draw(logits, Sampling(1.0, seed=7), id_="q#1", position=n) for n in range(12)] == [
        0, 2, 0, 0, 0, 2, 0, 2, 0, 1, 2, 0,
    ]  # fmt: skip


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    draw([0.0] * 9, Sampling(1.0))
    assert torch.equal(torch.rand(3), want)


@pytest.mark.parametrize("temperature", [1e-6, 1e-300, 5e-324])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_as_the_temperature_goes_to_0_the_draw_becomes_greedy(temperature, top_p):
    torch.manual_seed(1)
    for n, logits in enumerate(torch.randn(20, 100)):
        assert draw(logits, Sampling(temperature, top_p), position=n) == int(logits.argmax())


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_rounding_changes_few_draws_of_a_large_vocabulary(temperature):
    """One number held against cumulative probabilities fails this: every bound between two of the many unlikely tokens moves."""
    torch.manual_seed(2)
    logits = torch.randn(49_152, dtype=torch.float64) * 2
    rounded = logits + torch.randn_like(logits) * 1e-5
    changed = sum(
        draw(logits, Sampling(temperature), position=n) != draw(rounded, Sampling(temperature), position=n)
        for n in range(300)
    )
    assert changed == 0


@pytest.mark.parametrize(
    ("values", "where", "found"),
    [
        ({"temperature": 0.0}, "sampling.temperature", "0"),
        ({"temperature": -1.0}, "sampling.temperature", "-1"),
        ({"temperature": math.inf}, "sampling.temperature", "inf"),
        ({"temperature": math.nan}, "sampling.temperature", "nan"),
        ({"temperature": 1.0, "top_p": 0.0}, "sampling.top_p", "0"),
        ({"temperature": 1.0, "top_p": 1.1}, "sampling.top_p", "1.1"),
        ({"temperature": 1.0, "top_p": math.nan}, "sampling.top_p", "nan"),
    ],
)
def test_settings_out_of_bounds_are_errors_that_name_what_may_be_there(values, where, found):
    with pytest.raises(InputError, match="out of bounds") as caught:
        Sampling(**values)
    assert (caught.value.where, caught.value.found) == (where, found)
    assert "above 0" in str(caught.value.expected)


def test_choices_are_not_sampled():
    with pytest.raises(InputError, match="only generated answers") as caught:
        Request("c1", "choose", "", choices=("a", "b"), sampling=Sampling(1.0))
    assert caught.value.where == "c1"


def test_sampled_answers_are_checked_against_full_passes(exact, sampled):
    engine = exact.engine()
    responses = {answer.id: answer for answer in engine.answer(sampled)}
    assert check(engine, sampled, responses, sample=99).wrong == ()
    other = {id_: replace(response, text=response.text + "!") for id_, response in responses.items()}
    assert len(check(engine, sampled, other, sample=99).wrong) == len(sampled)
