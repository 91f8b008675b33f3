"""lm-eval's three kinds of requests, against plain passes of transformers in float64. Nothing here needs lm-eval."""

from __future__ import annotations

import math

import pytest
import torch

from tutelage.core.errors import InputError
from tutelage.harness.answers import CHOICE_TOKENS, HarnessAnswers, _grouped
from tutelage.harness.encoding import EncodedPair
from tutelage.harness.generation import GenerationSettings
from tutelage.models import load, resolve

CONTEXTS = ("What is the price?", "We are open from 9 to 17. ", "", "Paris\n\n", "<|im_start|>user\nHello")
CONTINUATIONS = (" 12 euros", "yes", " no one", "é🙂")


@pytest.fixture(scope="module")
def llama(tiny_model_folder):
    loaded = load(resolve(str(tiny_model_folder)))
    loaded.model.double()
    return loaded


@pytest.fixture(scope="module")
def t5(tiny_t5_folder):
    loaded = load(resolve(str(tiny_t5_folder)))
    loaded.model.double()
    return loaded


def plain_score(loaded, prompt, answer):
    """The log-probability of an answer's ids, and whether each is the likeliest, by one pass of transformers."""
    with torch.no_grad():
        if loaded.encoder_decoder:
            labels = torch.tensor([list(answer)])
            logits = loaded.model(input_ids=torch.tensor([list(prompt)]), labels=labels).logits[0]
        else:
            ids = torch.tensor([[*prompt, *answer]])
            logits = loaded.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    rows = logits.log_softmax(-1)
    return float(sum(rows[n, token] for n, token in enumerate(answer))), logits.argmax(-1).tolist() == list(
        answer
    )


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_log_likelihoods_are_those_of_plain_passes(request, kind):
    loaded = request.getfixturevalue(kind)
    answers = HarnessAnswers(loaded)
    pairs = [(context, text) for context in CONTEXTS for text in CONTINUATIONS]
    scores = answers.log_likelihoods([*pairs, pairs[0]])
    assert len(scores) == len(pairs) + 1
    assert scores[-1] == scores[0]
    for (context, text), score in zip(pairs, scores, strict=False):
        expected, greedy = plain_score(loaded, *answers.encoder.pair(context, text))
        assert score.log_probability == pytest.approx(expected, abs=1e-9)
        assert score.greedy == greedy


def test_what_the_model_would_generate_is_called_greedy(llama):
    answers, tokenizer = HarnessAnswers(llama), llama.tokenizer
    pairs = []
    for word in ("yes", "no", "Paris", "12", "a", "month", "euros", "The capital of France is"):
        prompt = tokenizer.encode(word)
        with torch.no_grad():
            best = int(llama.model(input_ids=torch.tensor([prompt])).logits[0, -1].argmax())
        text = tokenizer.decode([best])
        if tokenizer.encode(word + text) == [*prompt, best]:  # not every token is a text that is encoded so
            pairs.append((word, text))
    assert len(pairs) > 1
    assert all(score.greedy for score in answers.log_likelihoods(pairs))
    assert not any(score.greedy for score in answers.log_likelihoods([(word, "~") for word, _ in pairs]))


def test_how_a_pair_is_encoded(llama, t5):
    encoder, tokenizer = HarnessAnswers(llama).encoder, llama.tokenizer
    # Space at the context's end belongs to the continuation; the whole is encoded as one text.
    assert encoder.pair("yes ", "no") == (
        tuple(tokenizer.encode("yes")),
        tuple(tokenizer.encode("yes no")[len(tokenizer.encode("yes")) :]),
    )
    # Nothing before a text: the bos token, which is not repeated.
    assert encoder.pair("", "yes") == ((1,), tuple(tokenizer.encode("yes")))
    assert encoder.pair("", "<|im_start|>yes") == ((1,), tuple(tokenizer.encode("yes")))
    # A context of space alone has no ids of its own.
    assert encoder.pair(" ", "no").prompt == (1,)
    # Control tokens are read as such: the chat template is in the text.
    assert 1 in encoder.pair("<|im_start|>user", "yes").prompt
    # Both sides of an encoder-decoder model are encoded alone.
    encode = t5.tokenizer.encode
    pair = HarnessAnswers(t5).encoder.pair("yes ", "no")
    assert pair == (tuple(encode("yes")), tuple(encode(" no", add_special_tokens=False)))


def test_requests_with_one_context_are_one_request():
    pairs = {EncodedPair((1, 2), (3,)), EncodedPair((1, 2), (4, 5)), EncodedPair((1,), (3,))}
    grouped = {tuple(encoded.prompt): encoded.choices for encoded in _grouped(pairs)}
    assert grouped == {(1, 2): ([3], [4, 5]), (1,): ([3],)}
    long = {EncodedPair((1,), (n, *range(99))) for n in range(20)}
    sizes = [sum(map(len, encoded.choices)) for encoded in _grouped(long)]
    assert sum(sizes) == 2000
    assert max(sizes) <= CHOICE_TOKENS


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_whole_texts_are_scored_in_windows(request, kind):
    loaded = request.getfixturevalue(kind)
    answers = HarnessAnswers(loaded, max_length=16)
    texts = ["The small plan costs 12 euros a month. " * 3, "yes", ""]
    found = answers.rolling_log_likelihoods(texts)
    for text, value in zip(texts, found, strict=True):
        windows = list(answers.encoder.windows(text))
        ids = [token for _, answer in windows for token in answer]
        assert ids == loaded.tokenizer.encode(text)
        assert all(len(prompt) + len(answer) <= 17 for prompt, answer in windows)
        # Each window but the first has all the text before its tokens that the model can read.
        done = 0
        for prompt, answer in windows[1:]:
            done += len(windows[0].answer) if not done else 0
            assert list(prompt) == ids[done + len(answer) - 17 : done]
            done += len(answer)
        assert value == pytest.approx(sum(plain_score(loaded, *window)[0] for window in windows), abs=1e-8)
    assert answers.truncated == 0


def test_a_context_that_is_too_long_loses_its_beginning_and_is_counted(llama):
    answers = HarnessAnswers(llama, max_length=16)
    context = "The small plan costs 12 euros a month. " * 3
    score, _ = answers.log_likelihoods([(context, "yes"), ("Hello,", " yes")])
    prompt, answer = answers.encoder.pair(context, "yes")
    assert len(prompt) + len(answer) > 17
    expected, _ = plain_score(llama, prompt[-(17 - len(answer)) :], answer)
    assert score.log_probability == pytest.approx(expected, abs=1e-9)
    assert answers.truncated == 1
    with pytest.raises(InputError, match="a continuation cannot be scored") as error:
        answers.log_likelihoods([("yes", context)])
    assert error.value.where == "behind a context that ends with 'yes'"
    with pytest.raises(InputError, match="0 tokens"):
        answers.log_likelihoods([("yes", "")])


def test_how_many_tokens_a_model_reads(llama, t5):
    assert HarnessAnswers(llama).encoder.max_length == 512
    assert HarnessAnswers(t5).encoder.max_length == 512  # t5's n_positions; its tokenizer says the same


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_generated_texts_are_those_of_transformers(request, kind):
    loaded = request.getfixturevalue(kind)
    contexts = [context for context in CONTEXTS if context]
    found = HarnessAnswers(loaded).generate([(context, GenerationSettings(12, ())) for context in contexts])
    for context, text in zip(contexts, found, strict=True):
        ids = loaded.tokenizer(context, return_tensors="pt")
        output = loaded.model.generate(**ids, max_new_tokens=12, do_sample=False)[0]
        own = output if loaded.encoder_decoder else output[ids["input_ids"].shape[1] :]
        assert text == loaded.tokenizer.decode(own, skip_special_tokens=True)


def test_generation_ends_before_a_stop_text_and_asks_equal_requests_once(llama):
    answers = HarnessAnswers(llama)
    (whole,) = answers.generate([("What is the price?", GenerationSettings(20, ()))])
    assert len(set(whole)) > 2
    stop = whole[3:5]
    progress: list[tuple[int, int]] = []
    answers = HarnessAnswers(llama, on_progress=lambda done, total: progress.append((done, total)))
    settings = GenerationSettings(20, (stop,))
    found = answers.generate([("What is the price?", settings)] * 3)
    assert found == [whole[: whole.index(stop)]] * 3
    assert progress[-1] == (1, 1)


def test_a_prompt_leaves_room_for_its_answer(llama):
    answers = HarnessAnswers(llama, max_length=24)
    context = "The small plan costs 12 euros a month. " * 3
    (text,) = answers.generate([(context, GenerationSettings(8, ()))])
    cut = llama.tokenizer.decode(llama.tokenizer.encode(context)[-16:])
    assert answers.generate([(cut, GenerationSettings(8, ()))]) == [text]
    assert answers.truncated == 1
    with pytest.raises(InputError, match="the answer leaves no room"):
        answers.generate([(context, GenerationSettings(24, ()))])


def test_a_turn_end_alone_ends_no_answer(tiny_model_folder):
    """lm-eval knows the end tokens of model and tokenizer; the end of a turn is another token in some base models."""
    loaded = load(resolve(str(tiny_model_folder)))
    assert HarnessAnswers(loaded)._engine.stop_ids == {2}
    loaded.tokenizer.eos_token = "<|endoftext|>"  # noqa: S105 - no password
    loaded.model.generation_config.eos_token_id = 0
    assert HarnessAnswers(loaded)._engine.stop_ids == {0}


def test_log_likelihoods_are_finite(llama):
    assert all(
        math.isfinite(score.log_probability) for score in HarnessAnswers(llama).log_likelihoods([("", "a")])
    )
