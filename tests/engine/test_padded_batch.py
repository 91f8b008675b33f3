from __future__ import annotations

import pytest
import torch

from tutelage.engine.padded_batch import PaddedDecoderBatch, PaddedEncoderDecoderBatch, pad, prefill

DECODERS = ("llama", "gpt2", "gemma2", "gemma3", "mistral", "opt", "bloom", "neox")
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14, 15], list(range(20, 45))]
MORE = [[50, 51, 52, 53], [54, 55, 56, 57], [58, 59, 60, 61], [62, 63, 64, 65]]


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


@pytest.fixture
def begin(tiny_model):
    """A padded batch of a family's model; `plain` gives one row's logits without batch, padding or cache."""

    def make(family, prompts=PROMPTS, **options):
        tiny = tiny_model(family)
        begun = prefill(tiny.model, prompts, pad_id=0, encoder_decoder=tiny.encoder_decoder, **options)

        def plain(row, more=()):
            ids = torch.tensor([prompts[row]])
            if not tiny.encoder_decoder:
                ids = torch.tensor([prompts[row] + list(more)])
                return tiny.model(input_ids=ids, use_cache=False).logits[0, len(prompts[row]) - 1 :]
            given = [tiny.model.config.decoder_start_token_id, *options.get("answer_prefix", ())]
            given_ids = torch.tensor([given + list(more)])
            return tiny.model(input_ids=ids, decoder_input_ids=given_ids, use_cache=False).logits[
                0, len(given) - 1 :
            ]

        return begun, plain

    return make


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", [*DECODERS, "t5", "bart"])
def test_the_first_logits_are_those_of_each_prompt_alone(begin, family):
    state, plain = begin(family)
    assert state.logits.shape[0] == len(PROMPTS)
    assert state.logits.ndim == 2
    for row in range(len(PROMPTS)):
        close(state.logits[row], plain(row)[-1])


@pytest.mark.parametrize("family", [*DECODERS, "t5", "bart"])
def test_feeding_at_once_or_one_by_one_gives_the_plain_logits(begin, family):
    fed = torch.tensor(MORE)
    at_once, plain = begin(family)
    whole = at_once.feed(fed)
    stepwise, _ = begin(family)
    steps = torch.cat([stepwise.feed(fed[:, n : n + 1]) for n in range(4)], dim=1)
    for row in range(len(PROMPTS)):
        want = plain(row, MORE[row])[1:]
        close(whole[row], want)
        close(steps[row], want)


@pytest.mark.parametrize("family", [*DECODERS, "t5", "bart"])
def test_rows_can_be_dropped_turned_and_repeated_on_the_way(begin, family):
    state, plain = begin(family)
    state.feed(torch.tensor(MORE)[:, :1])
    state.select(torch.tensor([3, 1]))
    state.feed(torch.tensor([MORE[3][1:2], MORE[1][1:2]]))
    state.select(torch.tensor([1, 0, 1]))
    logits = state.feed(torch.tensor([[70], [71], [72]]))
    for place, (row, last) in enumerate([(1, 70), (3, 71), (1, 72)]):
        close(logits[place, -1], plain(row, [*MORE[row][:2], last])[-1])


@pytest.mark.parametrize("family", [*DECODERS, "t5", "bart"])
def test_what_fills_up_the_right_end_changes_nothing_before_it(begin, family):
    state, plain = begin(family)
    lengths = [4, 1, 3, 2]
    fed = torch.tensor([more[:n] + [0] * (4 - n) for more, n in zip(MORE, lengths, strict=True)])
    mask = torch.tensor([[1] * n + [0] * (4 - n) for n in lengths])
    logits = state.feed(fed, mask=mask)
    for row, n in enumerate(lengths):
        close(logits[row, :n], plain(row, MORE[row][:n])[1:])


@pytest.mark.parametrize("left", [False, True])
def test_rows_are_padded_with_whole_numbers_at_either_side(left):
    ids, mask = pad([[], [5], [8, 9]], 7, torch.device("cpu"), left=left)
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.int64)
    assert ids.tolist() == [[7, 7], [7, 5] if left else [5, 7], [8, 9]]
    assert mask.tolist() == [[0, 0], [0, 1] if left else [1, 0], [1, 1]]


def test_select_takes_the_first_logits_along(begin):
    for family in ("llama", "t5"):
        state, _ = begin(family)
        original = state.logits.clone()
        state.select(torch.tensor([2, 2, 0]))
        assert torch.equal(state.logits, original[[2, 2, 0]])


def test_the_padding_id_does_not_matter(tiny_model):
    model = tiny_model("llama").model
    first, second = (PaddedDecoderBatch(model, PROMPTS, pad_id=pad) for pad in (0, 77))
    close(first.logits, second.logits)
    fed = torch.tensor(MORE)
    close(first.feed(fed), second.feed(fed))


def test_no_position_goes_beyond_the_models_last(tiny_model, monkeypatch):
    model = tiny_model("gpt2").model
    last = model.config.n_positions - 1
    long = [5 + n % 90 for n in range(last)]
    state = PaddedDecoderBatch(model, [long, [7]], pad_id=0)
    recorded = []
    forward = model.forward

    def listening(**inputs):
        recorded.extend(inputs["position_ids"].tolist() if "position_ids" in inputs else [])
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", listening)
    fed = torch.tensor([[8, 0, 0, 0, 0], [8, 9, 10, 11, 12]])
    logits = state.feed(fed, mask=torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]))
    assert recorded == [[last] * 5, [1, 2, 3, 4, 5]]
    close(logits[0, 0], model(input_ids=torch.tensor([[*long, 8]]), use_cache=False).logits[0, -1])


def test_only_the_last_logits_of_a_prompt_are_made(tiny_model, monkeypatch):
    model = tiny_model("llama").model
    recorded = []
    forward = model.forward

    def listening(**inputs):
        out = forward(**inputs)
        recorded.append(tuple(out.logits.shape[:2]))
        return out

    monkeypatch.setattr(model, "forward", listening)
    state = PaddedDecoderBatch(model, PROMPTS, pad_id=0)
    state.feed(torch.tensor(MORE))
    assert recorded == [(4, 1), (4, 4)]


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_the_encoder_runs_once_whatever_is_fed(tiny_model, monkeypatch, family):
    model = tiny_model(family).model
    runs = []
    encoder = model.get_encoder()
    hook = encoder.register_forward_hook(lambda *_: runs.append(1))
    try:
        state = PaddedEncoderDecoderBatch(model, PROMPTS, pad_id=0)
        for _ in range(3):
            state.feed(torch.tensor([[50]] * 4))
            state.select(torch.tensor([0, 1, 2, 3]))
    finally:
        hook.remove()
    assert runs == [1]


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_what_stands_before_every_answer_is_given_to_the_decoder(begin, family):
    bare, _ = begin(family)
    state, plain = begin(family, answer_prefix=(30, 31))
    for row in range(len(PROMPTS)):
        close(state.logits[row], plain(row)[-1])
        assert not torch.allclose(state.logits[row], bare.logits[row], atol=1e-2)
    logits = state.feed(torch.tensor(MORE))
    close(logits[2], plain(2, MORE[2])[1:])
