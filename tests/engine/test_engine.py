from __future__ import annotations

import math
import random
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Request
from tutelage.engine import BatchLimits
from tutelage.engine.capabilities import Batching
from tutelage.engine.engine import Engine, stop_ids
from tutelage.engine.padded_answers import plan_batches
from tutelage.engine.padded_batch import PaddedDecoderBatch
from tutelage.engine.prefix_tree import PrefixNode
from tutelage.models.library_calls import quiet

DECODERS = ("llama", "gpt2", "gemma2", "gemma3", "mistral", "opt", "bloom", "neox")
FAMILIES = (*DECODERS, "t5", "bart")
LIMITS = [BatchLimits(rows=1), BatchLimits(rows=2), BatchLimits(rows=8), BatchLimits(prompt_tokens=150)]
ENDS = {"t5": (1,)}


def same(first, second):
    """Two lists of responses agree: texts exactly, log-probabilities but for rounding."""
    assert [replace(r, logprobs=()) for r in first] == [replace(r, logprobs=()) for r in second]
    for a, b in zip(first, second, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_those_of_generate_one_by_one(tiny_model, make_requests, generated, family):
    tiny = tiny_model(family)
    engine = tiny.engine()
    requests = make_requests(["generate"])
    answers = engine.answer(requests)
    ends = ENDS.get(family, (2,))
    for request, answer in zip(requests, answers, strict=True):
        ids = engine.encoder.prompt_ids(request.prompt)
        want = generated(tiny, ids, request.max_new_tokens, ends=ends)
        assert answer.text == tiny.tokenizer.decode(want, skip_special_tokens=True)
        assert answer.tokens == len(want)
        assert answer.finish == ("length" if len(want) == request.max_new_tokens else "stop")
        assert (answer.choice, answer.logprobs) == (None, ())
    assert len({answer.text for answer in answers}) > 3  # the models do answer differently


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_those_of_one_plain_pass_for_each_choice(
    tiny_model, make_requests, likelihood, family
):
    tiny = tiny_model(family)
    engine = tiny.engine()
    requests = make_requests(["choose"])
    answer_prefix = (0,) if family == "bart" else ()
    for request, answer in zip(requests, engine.answer(requests), strict=True):
        ids = engine.encoder.prompt_ids(request.prompt)
        tokens = [tiny.tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in request.choices]
        want = [likelihood(tiny, ids, choice, answer_prefix=answer_prefix) for choice in tokens]
        assert answer.logprobs == pytest.approx(want, abs=1e-4)
        assert answer.choice == max(range(len(want)), key=want.__getitem__)
        assert answer.text == request.choices[answer.choice]
        assert (answer.finish, answer.tokens) == ("choice", 0)


def test_the_choices_tried_here_have_one_token_or_many_and_some_begin_alike(tiny_model, make_requests):
    tokenizer = tiny_model("llama").tokenizer
    tokens = [[tokenizer(c)["input_ids"] for c in r.choices] for r in make_requests(["choose"])]
    assert {1, 2} <= {len(ids) for row in tokens for ids in row}
    assert max(len(ids) for row in tokens for ids in row) > 5
    assert any(len({ids[0] for ids in row}) < len(row) for row in tokens)
    assert any(all(len(ids) == 1 for ids in row) for row in tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_neither_batches_nor_order_change_an_answer(tiny_model, make_requests, family):
    tiny = tiny_model(family)
    requests = make_requests(max_new_tokens=(1, 4, 8))
    whole = {r.id: r for r in tiny.engine().answer(requests)}
    for limits in LIMITS:
        random.Random(str(limits)).shuffle(requests)
        same(tiny.engine(limits).answer(requests), [whole[r.id] for r in requests])


def test_choices_of_one_token_alone_are_right_too(tiny_model, make_requests, likelihood):
    tiny = tiny_model("llama")
    requests = [replace(r, choices=("1", "2", "a")) for r in make_requests(["choose"])]
    engine = tiny.engine()
    for request, answer in zip(requests, engine.answer(requests), strict=True):
        ids = engine.encoder.prompt_ids(request.prompt)
        tokens = [tiny.tokenizer(choice)["input_ids"] for choice in request.choices]
        assert [len(choice) for choice in tokens] == [1, 1, 1]
        assert answer.logprobs == pytest.approx(
            [likelihood(tiny, ids, choice) for choice in tokens], abs=1e-4
        )


def test_of_equally_likely_choices_the_first_is_taken(tiny_model):
    (answer,) = (
        tiny_model("llama").engine().answer([Request("a", "choose", "Hello", choices=("no", "yes", "yes"))])
    )
    assert answer.logprobs[1] == pytest.approx(answer.logprobs[2], abs=1e-6)
    (twins,) = tiny_model("llama").engine().answer([Request("a", "choose", "Hello", choices=("a", "a"))])
    assert (twins.choice, twins.logprobs[0]) == (0, twins.logprobs[1])


@pytest.mark.parametrize("family", ["gpt2", "opt"])
def test_a_long_prompt_beside_a_long_choice_stays_within_the_models_positions(tiny_model, likelihood, family):
    """GPT-2 has a row of weights for each position: padding may not index beyond them."""
    tiny = tiny_model(family)
    engine = tiny.engine()
    most = tiny.model.config.max_position_embeddings
    long = "a" * (most - 2 - len(engine.encoder.prompt_ids("")))
    requests = [
        Request("long", "choose", long, choices=("12", "13")),
        Request("short", "choose", "a", choices=("a" * 40, "b" * 41)),
    ]
    ids = [engine.encoder.prompt_ids(r.prompt) for r in requests]
    assert len(ids[0]) + 2 == most
    for request, prompt, answer in zip(requests, ids, engine.answer(requests), strict=True):
        tokens = [tiny.tokenizer(choice)["input_ids"] for choice in request.choices]
        assert answer.logprobs == pytest.approx(
            [likelihood(tiny, prompt, choice) for choice in tokens], abs=1e-4
        )


def test_responses_come_in_the_requests_order_and_each_batch_is_told_once(tiny_model, make_requests):
    requests = make_requests()
    listened = []
    answers = tiny_model("llama").engine(BatchLimits(rows=3)).answer(requests, on_done=listened.append)
    assert [r.id for r in answers] == [r.id for r in requests]
    assert max(len(batch) for batch in listened) == 3
    assert sorted(r.id for batch in listened for r in batch) == sorted(r.id for r in requests)
    by_id = {r.id: r for r in answers}
    assert all(by_id[r.id] == r for batch in listened for r in batch)
    kinds = [{r.finish == "choice" for r in batch} for batch in listened]
    assert all(len(kind) == 1 for kind in kinds)  # a batch is of one kind


def test_an_error_of_the_listener_comes_out_and_what_was_told_was_told(tiny_model, make_requests):
    listened = []

    def stop(batch):
        listened.append(batch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_model("llama").engine(BatchLimits(rows=2)).answer(make_requests(), on_done=stop)
    assert len(listened) == 1
    assert listened[0]


def test_batches_keep_within_rows_and_tokens_counting_every_choice(tiny_model, make_requests):
    engine = tiny_model("llama").engine(BatchLimits(rows=4, prompt_tokens=200))
    requests = make_requests()
    lengths = {r.id: len(engine.encoder.prompt_ids(r.prompt)) for r in requests}
    root = PrefixNode((), 0, tuple(range(len(requests))), ())
    encoded = list(engine.request_encoder.encode(requests))
    batches = [
        [requests[n] for n in batch]
        for batch in plan_batches(root, encoded, engine.limits, engine._token_bytes)
    ]
    assert Counter(r.id for batch in batches for r in batch) == Counter(r.id for r in requests)
    for batch in batches:
        cost = max(lengths[r.id] for r in batch) * sum(max(1, len(r.choices)) for r in batch)
        assert len(batch) == 1 or (cost <= 200 and len(batch) <= 4)
        assert [lengths[r.id] for r in batch] == sorted((lengths[r.id] for r in batch), reverse=True)
    assert any(len(batch) > 1 for batch in batches)


def test_nothing_asked_is_nothing_answered(tiny_model):
    assert tiny_model("llama").engine().answer([]) == []


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_the_most_tokens_end_an_answer_at_exactly_that_number(tiny_model, generated, family):
    tiny = tiny_model(family)
    engine = tiny.engine()
    requests = [Request(str(n), "generate", "Hello, what is", max_new_tokens=n) for n in range(1, 9)]
    whole = generated(tiny, engine.encoder.prompt_ids("Hello, what is"), 8, ends=ENDS.get(family, (2,)))
    for n, answer in enumerate(engine.answer(requests), start=1):
        assert answer.text == tiny.tokenizer.decode(whole[:n], skip_special_tokens=True)
        assert (answer.tokens, answer.finish) == (n, "length")


@pytest.mark.parametrize("family", ["llama", "bart"])
def test_any_end_token_of_the_model_ends_an_answer_and_is_no_part_of_it(
    tiny_model, make_requests, generated, monkeypatch, family
):
    tiny = tiny_model(family)
    requests = make_requests(["generate"], max_new_tokens=(12,))
    free = [generated(tiny, tiny.engine().encoder.prompt_ids(r.prompt), 12) for r in requests]
    # Tokens that some answers do hold, as a model has several ends: <|im_end|>, <|eot_id|>, <end_of_turn>.
    ends = [2, *(token for token, _ in Counter(t for ids in free for t in ids[3:]).most_common(3))]
    monkeypatch.setattr(tiny.model.generation_config, "eos_token_id", ends)
    engine = tiny.engine(BatchLimits(rows=4))
    answers = engine.answer(requests)
    for request, ids, answer in zip(requests, free, answers, strict=True):
        at = next((n for n, token in enumerate(ids) if token in ends), None)
        assert answer.text == tiny.tokenizer.decode(ids[:at], skip_special_tokens=True)
        assert (answer.tokens, answer.finish) == (len(ids[:at]), "length" if at is None else "stop")
        want = generated(tiny, engine.encoder.prompt_ids(request.prompt), 12, ends=ends)
        assert want == ids[:at]
    assert {answer.finish for answer in answers} == {"stop", "length"}


def test_the_ids_that_end_an_answer_come_from_the_template_the_model_and_the_tokenizer():
    def ids(model_eos, tokenizer_eos):
        model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=model_eos))
        return stop_ids(model, SimpleNamespace(eos_token_id=tokenizer_eos), 7)

    assert ids(None, None) == {7}
    assert ids(2, 2) == {2, 7}
    assert ids([2, 3], 4) == {2, 3, 4, 7}
    assert ids(0, None) == {0, 7}


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_stop_text_ends_its_own_answer_and_no_other(tiny_model, make_requests, family):
    tiny = tiny_model(family)
    plain = make_requests(["generate"], max_new_tokens=(12,))
    free = tiny.engine().answer(plain)
    # Two neighbouring characters of the middle: mostly they belong to two tokens.
    stops = [(r.text[len(r.text) // 2 :][:2],) if n % 2 else () for n, r in enumerate(free)]
    requests = [replace(r, stop=stop) for r, stop in zip(plain, stops, strict=True)]
    for limits in (BatchLimits(), BatchLimits(rows=1)):
        for answer, whole, stop in zip(tiny.engine(limits).answer(requests), free, stops, strict=True):
            if not stop or stop[0] not in whole.text:
                assert answer == whole
                continue
            assert answer.text == whole.text.partition(stop[0])[0]
            assert answer.finish == "stop"
            assert answer.tokens < 12
    assert sum(bool(stop) and stop[0] in r.text for stop, r in zip(stops, free, strict=True)) >= 4


def test_of_several_stop_texts_the_one_that_comes_first_ends_the_answer(tiny_model):
    tiny = tiny_model("llama")
    whole = Request("a", "generate", "Hello, what is the price", max_new_tokens=12)
    (free,) = tiny.engine().answer([whole])
    text = free.text
    early, late = text[3:5], text[-2:]
    assert text.find(early) < text.find(late)
    for stops in [(early, late), (late, early), (late, "never said", early)]:
        (answer,) = tiny.engine().answer([replace(whole, stop=stops)])
        assert (answer.text, answer.finish) == (text.partition(early)[0], "stop")
    (answer,) = tiny.engine().answer([replace(whole, stop=("never said",))])
    assert answer == free
    (answer,) = tiny.engine().answer([replace(whole, stop=(text[:1],))])
    assert (answer.text, answer.finish, answer.tokens) == ("", "stop", 1)


def test_a_stop_text_on_the_last_allowed_token_is_a_stop(tiny_model):
    tiny = tiny_model("llama")
    whole = Request("a", "generate", "Hello, what is the price", max_new_tokens=6)
    (free,) = tiny.engine().answer([whole])
    (answer,) = tiny.engine().answer([replace(whole, stop=(free.text[-1],), max_new_tokens=6)])
    assert answer.finish == "stop"
    assert free.text.startswith(answer.text)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "t5", "bart"])
def test_streaming_says_the_same_piece_by_piece(tiny_model, prompts, family):
    tiny = tiny_model(family)
    engine = tiny.engine()
    requests = [Request(str(n), "generate", prompt, max_new_tokens=14) for n, prompt in enumerate(prompts)]
    several = 0
    for request, answer in zip(requests, engine.answer(requests), strict=True):
        turn = [{"role": "user", "content": request.prompt}]
        pieces = list(engine.stream(turn, max_new_tokens=14))
        assert "".join(pieces) == answer.text
        assert all(pieces)
        several += len(pieces) > 3
    assert several > 3


def test_streaming_stops_where_it_is_left_and_says_nothing_of_no_tokens(tiny_model):
    engine = tiny_model("llama").engine()
    turn = [{"role": "user", "content": "Hello, what is the price"}]
    pieces = engine.stream(turn, max_new_tokens=10**9)
    assert next(pieces)
    pieces.close()
    assert list(engine.stream(turn, max_new_tokens=0)) == []


def test_between_two_pieces_the_caller_is_not_in_inference_mode(tiny_model):
    """Two answers side by side, the first ended first: modes that were on meanwhile would be left in the wrong order."""
    engine = tiny_model("llama").engine()
    turn = [{"role": "user", "content": "Hello, what is the price"}]
    both = [engine.stream(turn, max_new_tokens=10**9) for _ in range(2)]
    for pieces in both:
        next(pieces)
        assert not torch.is_inference_mode_enabled()
    for pieces in both:
        pieces.close()
    assert not torch.is_inference_mode_enabled()


def scripted(tiny, ids, monkeypatch):
    """An engine whose model says these ids, whatever it reads."""
    engine = tiny.engine()
    left = iter(ids)

    def logits():
        row = torch.zeros(1, len(tiny.tokenizer))
        row[0, next(left, 2)] = 1.0
        return row

    state = SimpleNamespace(logits=logits(), feed=lambda _ids: logits()[:, None])
    monkeypatch.setattr(engine, "_prefill", lambda _prompts: state)
    return engine


def test_a_character_of_several_tokens_is_said_whole_and_half_a_one_at_the_end_is_not_lost(
    tiny_model, monkeypatch
):
    tiny = tiny_model("llama")
    turn = [{"role": "user", "content": "Hello"}]
    ids = tiny.tokenizer("a🙂é", add_special_tokens=False)["input_ids"]
    assert len(ids) > 5
    pieces = list(scripted(tiny, ids, monkeypatch).stream(turn, max_new_tokens=20))
    assert pieces == ["a", "🙂", "é"]
    cut = list(scripted(tiny, ids[:3], monkeypatch).stream(turn, max_new_tokens=20))
    assert cut == ["a", tiny.tokenizer.decode(ids[:3])[1:]]
    assert "\ufffd" in cut[1]


def test_what_is_said_before_an_end_token_is_streamed_without_it(tiny_model, monkeypatch):
    tiny = tiny_model("llama")
    ids = tiny.tokenizer("yes", add_special_tokens=False)["input_ids"]
    engine = scripted(tiny, [*ids, 2, *ids], monkeypatch)
    assert "".join(engine.stream([{"role": "user", "content": "Hello"}], max_new_tokens=20)) == "yes"


def test_a_conversations_earlier_turns_are_read(tiny_model, generated):
    tiny = tiny_model("llama")
    engine = tiny.engine()
    turns = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "What is the price?"},
        {"role": "user", "content": "12 euros"},
    ]
    text = tiny.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    want = generated(tiny, tiny.tokenizer(text, add_special_tokens=False)["input_ids"], 12)
    assert "".join(engine.stream(turns, max_new_tokens=12)) == tiny.tokenizer.decode(
        want, skip_special_tokens=True
    )


def test_drawing_is_seeded(tiny_model):
    engine = tiny_model("llama").engine()
    turn = [{"role": "user", "content": "Hello"}]

    def say(seed, temperature=1.0):
        return "".join(engine.stream(turn, max_new_tokens=12, temperature=temperature, seed=seed))

    first = say(3)
    torch.manual_seed(99)
    torch.rand(5)
    assert say(3) == first
    assert len({say(seed) for seed in range(6)}) > 3
    greedy = say(0, temperature=0.0)
    assert {say(seed, temperature=0.0) for seed in range(3)} == {greedy}
    assert {say(seed, temperature=1e-4) for seed in range(3)} == {greedy}


def test_drawing_leaves_the_global_random_state_alone(tiny_model):
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    list(
        tiny_model("llama")
        .engine()
        .stream([{"role": "user", "content": "a"}], max_new_tokens=4, temperature=1.0)
    )
    assert torch.equal(torch.rand(3), want)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_tokens_are_drawn_as_often_as_the_softened_distribution_says(tiny_model, monkeypatch, temperature):
    tiny = tiny_model("llama")
    engine = tiny.engine()
    logits = torch.full((1, len(tiny.tokenizer)), -100.0)
    ids = [tiny.tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in "abcd"]
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
    logits[0, ids] = scores
    monkeypatch.setattr(
        engine, "_prefill", lambda _prompts: SimpleNamespace(logits=logits, feed=lambda _ids: logits[:, None])
    )
    count = 1500
    text = "".join(
        "".join(
            engine.stream(
                [{"role": "user", "content": "x"}], max_new_tokens=100, temperature=temperature, seed=seed
            )
        )
        for seed in range(count // 100)
    )
    want = torch.softmax(scores / temperature, -1).tolist()
    assert len(text) == count
    for letter, p in zip("abcd", want, strict=True):
        assert abs(text.count(letter) / count - p) < 5 * math.sqrt(p * (1 - p) / count)


CONTROL = {"llama": ("<|im_end|>", 2), "t5": ("</s>", 1), "bart": ("</s>", 2)}


@pytest.mark.parametrize("family", CONTROL)
def test_a_prompt_that_spells_a_control_token_is_read_as_text(tiny_model, family):
    tiny = tiny_model(family)
    word, end = CONTROL[family]
    engine = tiny.engine()
    plain, spelled = (engine.encoder.prompt_ids(f"Hello {text} you") for text in ("", word))
    assert spelled.count(end) == plain.count(end)
    assert tiny.tokenizer.decode(spelled).count(word) == plain.count(end) + 1
    request = Request("a", "generate", f"Hello {word} you", max_new_tokens=8)
    (answer,) = engine.answer([request])
    out = tiny.model.generate(
        input_ids=torch.tensor([spelled]),
        attention_mask=torch.ones(1, len(spelled), dtype=torch.long),
        max_new_tokens=8 + (family == "bart"),
        do_sample=False,
        pad_token_id=tiny.tokenizer.pad_token_id,
    )[0]
    new = out if tiny.encoder_decoder else out[len(spelled) :]
    assert answer.text == tiny.tokenizer.decode(new, skip_special_tokens=True)
    (streamed,) = ["".join(engine.stream([{"role": "user", "content": request.prompt}], max_new_tokens=8))]
    assert streamed == answer.text


@pytest.mark.parametrize("family", CONTROL)
def test_a_choice_that_spells_a_control_token_is_weighed_as_text(tiny_model, likelihood, family):
    tiny = tiny_model(family)
    word, end = CONTROL[family]
    engine = tiny.engine()
    (answer,) = engine.answer([Request("a", "choose", "Hello", choices=(word, "yes", f"yes{word}"))])
    ids = engine.encoder.prompt_ids("Hello")
    answer_prefix = (0,) if family == "bart" else ()
    letters = tiny.tokenizer(word, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert end not in letters
    assert tiny.tokenizer.decode(letters) == word
    assert answer.logprobs[0] != pytest.approx(
        likelihood(tiny, ids, [end], answer_prefix=answer_prefix), abs=1e-3
    )
    yes = tiny.tokenizer("yes", add_special_tokens=False)["input_ids"]
    want = [
        likelihood(tiny, ids, choice, answer_prefix=answer_prefix) for choice in (letters, yes, yes + letters)
    ]
    assert answer.logprobs == pytest.approx(want, abs=1e-4)


def test_an_adapter_that_is_not_merged_answers_as_itself(tiny_model, make_requests, generated):
    base = tiny_model("llama")
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        config = LoraConfig(
            r=4, init_lora_weights=False, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
        )
        tiny = base._replace(model=get_peft_model(deepcopy(base.model), config))
    requests = make_requests(max_new_tokens=(6,))
    engine = tiny.engine()
    answers = engine.answer(requests)
    for request, answer in zip(requests, answers, strict=True):
        if request.kind == "generate":
            want = generated(tiny, engine.encoder.prompt_ids(request.prompt), 6)
            assert answer.text == tiny.tokenizer.decode(want, skip_special_tokens=True)
    plain = base.engine().answer(requests)
    assert answers != plain
    with tiny.model.disable_adapter():
        same(engine.answer(requests), plain)


def test_a_model_in_training_mode_is_asked_in_evaluation_mode(tiny_model, make_requests, monkeypatch):
    tiny = tiny_model("gpt2")
    assert tiny.model.config.resid_pdrop > 0
    requests = make_requests()
    want = tiny.engine().answer(requests)
    tiny.model.train()
    same(tiny.engine().answer(requests), want)
    assert not tiny.model.training


def test_no_gradients_are_kept(tiny_model, make_requests):
    tiny = tiny_model("llama")
    tiny.engine().answer(make_requests())
    assert all(parameter.grad is None for parameter in tiny.model.parameters())


def test_a_tokenizer_without_padding_needs_none(tiny_model, make_requests):
    tiny = tiny_model("llama")
    bare = deepcopy(tiny.tokenizer)
    bare.pad_token = None
    requests = make_requests()
    same(Engine(tiny.model, bare, encoder_decoder=False).answer(requests), tiny.engine().answer(requests))


def test_a_model_without_a_chat_template_is_asked_texts_and_no_turns(tiny_model, prompts):
    tiny = tiny_model("llama")
    bare = deepcopy(tiny.tokenizer)
    bare.chat_template = None
    engine = Engine(tiny.model, bare, encoder_decoder=False)
    texts = [Request(str(n), "generate", p, max_new_tokens=5, form="text") for n, p in enumerate(prompts)]
    with pytest.raises(InputError, match="this model has no chat template"):
        engine.answer([*texts, Request("chat", "generate", "Hello", max_new_tokens=1)])
    assert len(engine.answer(texts)) == len(texts)
    assert engine.stop_ids == {2}


def test_what_does_not_fit_into_the_context_is_refused_by_name_before_anything_is_asked(tiny_model):
    tiny = tiny_model("gpt2")
    engine = Engine(tiny.model, tiny.tokenizer, encoder_decoder=False, context=256)
    fits = Request("fits", "generate", "What is the price?", max_new_tokens=4)
    long = Request("long", "choose", "a " * 300, choices=("yes", "no"))
    much = Request("much", "generate", "What?", max_new_tokens=255)
    listened = []
    with pytest.raises(InputErrors) as caught:
        engine.answer([fits, long, much], on_done=listened.extend)
    assert [error.where for error in caught.value.errors] == ["long", "much"]
    assert "at most 256 together" in caught.value.block()
    assert listened == []
    assert len(engine.answer([fits])) == 1


def test_rows_that_end_leave_a_padded_batch(tiny_model, generated, monkeypatch):
    tiny = tiny_model("llama")
    engine = tiny.engine(BatchLimits(rows=8))
    engine.capabilities.decode_batch = (
        False  # the path of models whose attention cannot be replaced; the other is in test_decode_batch.py
    )
    assert engine.capabilities.batching is Batching.PADDED
    monkeypatch.setattr(engine, "stop_ids", frozenset())  # every answer has the length that is asked for
    lengths = [2, 40, 3, 2, 5, 2, 30, 2, 4, 2, 2, 3] * 3
    requests = [
        Request(str(n), "generate", f"Paris {n} " * (1 + n % 5), max_new_tokens=most)
        for n, most in enumerate(lengths)
    ]
    sizes = []
    original = PaddedDecoderBatch.feed

    def feed(self, ids, **named):
        if ids.shape[1] == 1:
            sizes.append(len(ids))
        return original(self, ids, **named)

    monkeypatch.setattr(PaddedDecoderBatch, "feed", feed)
    listened = []
    answers = engine.answer(requests, on_done=lambda batch: listened.append([r.id for r in batch]))
    assert max(sizes) <= 8
    assert sum(sizes) == sum(most - 1 for most in lengths)  # no row is fed after its end
    ordered = [id_ for batch in listened for id_ in batch]
    assert sorted(ordered) == sorted(r.id for r in requests)
    for request, answer in zip(requests[:12], answers, strict=False):
        ids = engine.encoder.prompt_ids(request.prompt)
        want = generated(tiny, ids, request.max_new_tokens, ends=(-1,))
        assert answer.text == tiny.tokenizer.decode(want, skip_special_tokens=True)
        assert answer.tokens == request.max_new_tokens


@pytest.mark.parametrize("cache_bytes", [1 << 30, 400_000])
def test_what_a_padded_batch_holds_is_bounded(tiny_model, monkeypatch, cache_bytes):
    engine = tiny_model("llama").engine(BatchLimits(rows=8, cache_bytes=cache_bytes))
    engine.capabilities.decode_batch = False
    monkeypatch.setattr(engine, "stop_ids", frozenset())
    draw = random.Random(0)
    requests = [
        Request(str(n), "generate", f"What is {n}?", max_new_tokens=draw.randint(1, 40)) for n in range(300)
    ]
    widths, used_bytes = [], []
    original = PaddedDecoderBatch.feed

    def feed(self, ids, **named):
        widths.append(self.mask.shape[1] + ids.shape[1])
        used_bytes.append(self.token_bytes * widths[-1] * len(ids))
        return original(self, ids, **named)

    monkeypatch.setattr(PaddedDecoderBatch, "feed", feed)
    answers = engine.answer(requests)
    assert [answer.tokens for answer in answers] == [request.max_new_tokens for request in requests]
    longest = max(len(engine.encoder.prompt_ids(r.prompt)) for r in requests)
    assert max(widths) <= longest + 40
    assert max(used_bytes) <= cache_bytes


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "mistral", "t5", "bart"])
@pytest.mark.parametrize("kind", ["generate", "choose"])
def test_models_that_share_nothing_are_held_to_the_bytes_too(tiny_model, monkeypatch, family, kind):
    """Their first batches are made before anything was read, so what a token takes is asked of the model once."""
    tiny = tiny_model(family)
    cache_bytes = 250 * tiny.engine()._token_bytes
    small, wide = tiny.engine(BatchLimits(rows=32, cache_bytes=cache_bytes)), tiny.engine()
    choices = ("yes", "no", "Paris", "a month") if kind == "choose" else ()
    requests = [Request(str(n), kind, f"What is {n}?", max_new_tokens=10, choices=choices) for n in range(40)]
    rows = []
    original = type(small)._prefill

    def start(self, prompts):
        rows.append(len(prompts))
        return original(self, prompts)

    monkeypatch.setattr(type(small), "_prefill", start)
    few = small.answer(requests)
    longest = max(len(small.encoder.prompt_ids(r.prompt)) for r in requests)
    assert max(rows) * max(1, len(choices)) * longest * small._token_bytes <= cache_bytes
    counts = rows.copy()
    rows.clear()
    for a, b in zip(few, wide.answer(requests), strict=True):
        assert (a.text, a.logprobs) == (b.text, pytest.approx(b.logprobs, abs=5e-5))
    assert max(counts) < max(rows)
