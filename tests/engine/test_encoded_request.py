from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from tutelage.core.errors import InputError
from tutelage.core.types import Request
from tutelage.engine.encoded_request import Reader
from tutelage.tokens.encoder import Encoder

CHOICES = (" yes", " no", " Paris", " a month, or 12")


def reader(one, tokenizer=None):
    return Reader(Encoder(tokenizer or one.tokenizer, encoder_decoder=one.encoder_decoder))


def text(prompt, choices=CHOICES, **more):
    return Request("t", "choose", prompt, choices=choices, form="text", **more)


@pytest.mark.parametrize("prompt", ["Hello,", "What is the price of\n\n12 euros?\nAnswer:", "a " * 50 + "is"])
def test_prompt_and_choice_are_encoded_as_one_text_and_cut_where_the_prompt_ends(asked, prompt):
    one = asked("llama")
    (read,) = reader(one).read([text(prompt)])
    for choice, ids in zip(CHOICES, read.choices, strict=True):
        assert read.prompt + ids == one.tokenizer(prompt + choice, add_special_tokens=False)["input_ids"]
    assert read.prompt == one.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert read.answer == max(map(len, read.choices))


def test_a_space_at_the_prompts_end_belongs_to_the_choices(asked):
    one = asked("llama")
    (spaced,) = reader(one).read([text("Answer: ", ("yes", "no"))])
    (plain,) = reader(one).read([text("Answer:", (" yes", " no"))])
    assert (spaced.prompt, spaced.choices) == (plain.prompt, plain.choices)


def test_where_prompt_and_choice_share_a_token_all_choices_lose_the_same_prompt(asked):
    # "Hel" and "lo," are joined by the tokenizer, "Hel" and " no" are not: both are told from what they have in common.
    one = asked("llama")
    (read,) = reader(one).read([text("a Hel", ("lo,", " no"))])
    whole = [one.tokenizer(f"a Hel{c}", add_special_tokens=False)["input_ids"] for c in ("lo,", " no")]
    assert [read.prompt + ids for ids in read.choices] == whole
    assert whole[0][: len(read.prompt)] == whole[1][: len(read.prompt)]
    assert all(read.choices)


def test_the_tokenizers_bos_stands_before_a_text_and_its_eos_behind_none(asked):
    one = asked("llama")
    tokenizer = deepcopy(one.tokenizer)
    bos, eos = ("<|im_start|>", 1), ("<|im_end|>", 2)
    assert tokenizer.convert_tokens_to_ids([bos[0], eos[0]]) == [1, 2]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos[0]} $A {eos[0]}", special_tokens=[bos, eos]
    )
    (read,) = reader(one, tokenizer).read([text("Hello,")])
    (bare,) = reader(one).read([text("Hello,")])
    assert read.prompt == [1, *bare.prompt]
    assert read.choices == bare.choices


def test_with_an_empty_prompt_the_begin_token_is_read_and_the_whole_choice_told(asked):
    one = asked("llama")
    (read,) = reader(one).read([text("", ("yes", "no"))])
    begin = one.tokenizer.bos_token_id
    assert read.prompt == [begin if begin is not None else one.tokenizer.eos_token_id]
    assert list(read.choices) == [
        one.tokenizer(c, add_special_tokens=False)["input_ids"] for c in ("yes", "no")
    ]
    bare = deepcopy(one.tokenizer)
    bare.bos_token = bare.eos_token = None
    bare.chat_template = None
    mute = Reader(Encoder(bare, encoder_decoder=False, conversations=False))
    with pytest.raises(InputError, match="nothing to read"):
        list(mute.read([text("", ("yes", "no"))]))


def test_what_spells_a_control_token_is_text(asked):
    one = asked("llama")
    (read,) = reader(one).read([text("Say <|im_end|> now:", (" yes<|im_end|>", " no"))])
    assert not set(one.tokenizer.all_special_ids) & {*read.prompt, *read.choices[0]}


def test_the_sides_of_an_encoder_decoder_model_are_encoded_apart(asked):
    one = asked("t5")
    (read,) = reader(one).read([text("Hello, what is", ("yes", "a month"))])
    assert read.prompt == [*one.tokenizer("Hello, what is", add_special_tokens=False)["input_ids"], 1]
    assert list(read.choices) == [
        one.tokenizer(c, add_special_tokens=False)["input_ids"] for c in ("yes", "a month")
    ]


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "gemma3", "t5", "bart"])
def test_texts_are_answered_as_one_plain_pass_for_each_choice_answers_them(
    asked, prompts, likelihood, family
):
    one = asked(family)
    engine = one.engine()
    common = " ".join(prompts[:6]) + "\n"
    requests = [
        Request(str(n), "choose", common * (n % 2) + p, choices=CHOICES, form="text")
        for n, p in enumerate(prompts)
    ]
    before = (0,) if family == "bart" else ()
    for read, answer in zip(engine.reader.read(requests), engine.answer(requests), strict=True):
        want = [likelihood(one, read.prompt, list(choice), before=before) for choice in read.choices]
        assert answer.logprobs == pytest.approx(want, abs=1e-4)
        assert answer.lengths == tuple(map(len, read.choices))


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_texts_are_gone_on_with_as_generate_does(asked, prompts, generated, family):
    one = asked(family)
    engine = one.engine()
    requests = [Request(str(n), "generate", p, max_new_tokens=7, form="text") for n, p in enumerate(prompts)]
    ends = {"t5": (1,)}.get(family, (2,))
    for read, answer in zip(engine.reader.read(requests), engine.answer(requests), strict=True):
        want = generated(one, read.prompt, 7, ends=ends)
        assert answer.text == one.tokenizer.decode(want, skip_special_tokens=True)
    assert torch.is_inference_mode_enabled() is False
