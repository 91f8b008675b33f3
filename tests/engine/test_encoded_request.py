from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from tutelage.core.errors import InputError
from tutelage.core.types import Request
from tutelage.engine import RequestEncoder

CHOICES = (" yes", " no", " Paris", " a month, or 12")


def request_encoder(tiny, tokenizer=None):
    return RequestEncoder(tokenizer or tiny.tokenizer, encoder_decoder=tiny.encoder_decoder)


def text(prompt, choices=CHOICES, **more):
    return Request("t", "choose", prompt, choices=choices, form="text", **more)


@pytest.mark.parametrize("prompt", ["Hello,", "What is the price of\n\n12 euros?\nAnswer:", "a " * 50 + "is"])
def test_prompt_and_choice_are_encoded_as_one_text_and_cut_where_the_prompt_ends(tiny_model, prompt):
    tiny = tiny_model("llama")
    (encoded,) = request_encoder(tiny).encode([text(prompt)])
    for choice, ids in zip(CHOICES, encoded.choices, strict=True):
        assert encoded.prompt + ids == tiny.tokenizer(prompt + choice, add_special_tokens=False)["input_ids"]
    assert encoded.prompt == tiny.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert encoded.max_answer_tokens == max(map(len, encoded.choices))


def test_a_space_at_the_prompts_end_belongs_to_the_choices(tiny_model):
    tiny = tiny_model("llama")
    (spaced,) = request_encoder(tiny).encode([text("Answer: ", ("yes", "no"))])
    (plain,) = request_encoder(tiny).encode([text("Answer:", (" yes", " no"))])
    assert (spaced.prompt, spaced.choices) == (plain.prompt, plain.choices)


def test_where_prompt_and_choice_share_a_token_all_choices_lose_the_same_prompt(tiny_model):
    # "Hel" and "lo," are joined by the tokenizer, "Hel" and " no" are not: both are split where they still agree.
    tiny = tiny_model("llama")
    (encoded,) = request_encoder(tiny).encode([text("a Hel", ("lo,", " no"))])
    whole = [tiny.tokenizer(f"a Hel{c}", add_special_tokens=False)["input_ids"] for c in ("lo,", " no")]
    assert [encoded.prompt + ids for ids in encoded.choices] == whole
    assert whole[0][: len(encoded.prompt)] == whole[1][: len(encoded.prompt)]
    assert all(encoded.choices)


def test_the_tokenizers_bos_stands_before_a_text_and_its_eos_behind_none(tiny_model):
    tiny = tiny_model("llama")
    tokenizer = deepcopy(tiny.tokenizer)
    bos, eos = ("<|im_start|>", 1), ("<|im_end|>", 2)
    assert tokenizer.convert_tokens_to_ids([bos[0], eos[0]]) == [1, 2]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos[0]} $A {eos[0]}", special_tokens=[bos, eos]
    )
    (encoded,) = request_encoder(tiny, tokenizer).encode([text("Hello,")])
    (bare,) = request_encoder(tiny).encode([text("Hello,")])
    assert encoded.prompt == [1, *bare.prompt]
    assert encoded.choices == bare.choices


def test_with_an_empty_prompt_the_begin_token_is_read_and_the_whole_choice_told(tiny_model):
    tiny = tiny_model("llama")
    (encoded,) = request_encoder(tiny).encode([text("", ("yes", "no"))])
    begin = tiny.tokenizer.bos_token_id
    assert encoded.prompt == [begin if begin is not None else tiny.tokenizer.eos_token_id]
    assert list(encoded.choices) == [
        tiny.tokenizer(c, add_special_tokens=False)["input_ids"] for c in ("yes", "no")
    ]
    bare = deepcopy(tiny.tokenizer)
    bare.bos_token = bare.eos_token = None
    bare.chat_template = None
    mute = RequestEncoder(bare, encoder_decoder=False)
    with pytest.raises(InputError, match="nothing to read"):
        list(mute.encode([text("", ("yes", "no"))]))


def test_what_spells_a_control_token_is_text(tiny_model):
    tiny = tiny_model("llama")
    (encoded,) = request_encoder(tiny).encode([text("Say <|im_end|> now:", (" yes<|im_end|>", " no"))])
    assert not set(tiny.tokenizer.all_special_ids) & {*encoded.prompt, *encoded.choices[0]}


def test_the_sides_of_an_encoder_decoder_model_are_encoded_apart(tiny_model):
    tiny = tiny_model("t5")
    (encoded,) = request_encoder(tiny).encode([text("Hello, what is", ("yes", "a month"))])
    assert encoded.prompt == [*tiny.tokenizer("Hello, what is", add_special_tokens=False)["input_ids"], 1]
    assert list(encoded.choices) == [
        tiny.tokenizer(c, add_special_tokens=False)["input_ids"] for c in ("yes", "a month")
    ]


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "gemma3", "t5", "bart"])
def test_texts_are_answered_as_one_plain_pass_for_each_choice_answers_them(
    tiny_model, prompts, likelihood, family
):
    tiny = tiny_model(family)
    engine = tiny.engine()
    common = " ".join(prompts[:6]) + "\n"
    requests = [
        Request(str(n), "choose", common * (n % 2) + p, choices=CHOICES, form="text")
        for n, p in enumerate(prompts)
    ]
    answer_prefix = (0,) if family == "bart" else ()
    for encoded, answer in zip(engine.request_encoder.encode(requests), engine.answer(requests), strict=True):
        want = [
            likelihood(tiny, encoded.prompt, list(choice), answer_prefix=answer_prefix)
            for choice in encoded.choices
        ]
        assert answer.logprobs == pytest.approx(want, abs=1e-4)
        assert answer.lengths == tuple(map(len, encoded.choices))


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_texts_are_gone_on_with_as_generate_does(tiny_model, prompts, generated, family):
    tiny = tiny_model(family)
    engine = tiny.engine()
    requests = [Request(str(n), "generate", p, max_new_tokens=7, form="text") for n, p in enumerate(prompts)]
    ends = {"t5": (1,)}.get(family, (2,))
    for encoded, answer in zip(engine.request_encoder.encode(requests), engine.answer(requests), strict=True):
        want = generated(tiny, encoded.prompt, 7, ends=ends)
        assert answer.text == tiny.tokenizer.decode(want, skip_special_tokens=True)
    assert torch.is_inference_mode_enabled() is False
